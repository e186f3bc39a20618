/** The benchmark. Only `bench-worker.ts` adds it, so that the npm package's worker does not contain it. */
import { ocelliError } from "../errors.js";
import type { RequestHandle, OcelliEngine } from "../wasm/ocelli.js";
import type { BenchOptions, BenchReport } from "./bench-types.js";

type Bench = (engine: OcelliEngine, options: BenchOptions, cancel: RequestHandle, onFigure: (line: string) => void) => Promise<BenchReport>;

let bench: Bench = () => Promise.reject(ocelliError("invalid-request", "this worker script has no benchmark: `bench-worker.js` has one"));

export const runBench: Bench = (...call) => bench(...call);

/** Makes `added` the benchmark of this worker. */
export function addBench(added: Bench): void {
  bench = added;
}
