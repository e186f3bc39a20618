/** The worker of `bench.html`. Its wasm module has the exports of the engine, and the benchmark. */
import "./worker.js";
import { bench, type OcelliEngine } from "./wasm/ocelli_bench.js";
import { addBench } from "./worker/bench.js";
import type { BenchReport } from "./worker/bench-types.js";

addBench((engine, options, cancel, onFigure) => bench(engine as OcelliEngine, options, cancel, onFigure) as Promise<BenchReport>);
