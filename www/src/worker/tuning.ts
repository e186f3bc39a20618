/** Tuning results in Cache Storage, beside the packages: each load continues the search of the previous one. */
import { storeOrigin } from "../store/browser.js";
import type { Tuned } from "../wasm/ocelli.js";

/** Tuning results by a key made of device, driver, model and version. */
export type TuningResults = Record<string, Tuned>;

const CACHE = "ocelli-tuning-v1";
/** Number of stored results; older ones are dropped. */
const MAX_ENTRIES = 32;

const address = () => `${storeOrigin()}/ocelli-tuning.json`;

/** The stored results; none if this window has no storage. */
export async function loadTuning(): Promise<TuningResults> {
  try {
    const stored = await (await caches.open(CACHE)).match(address());
    const results: unknown = await stored?.json();
    return typeof results === "object" && results !== null ? (results as TuningResults) : {};
  } catch {
    return {};
  }
}

/** Stores the result of a load with the earlier ones. Failures are ignored, because they only cost speed. */
export async function saveTuning(results: TuningResults, key: string, tuned: Tuned): Promise<void> {
  if (JSON.stringify(results[key]) === JSON.stringify(tuned)) return;
  const { [key]: _, ...others } = results;
  const entries = [...Object.entries(others), [key, tuned]].slice(-MAX_ENTRIES);
  try {
    await (await caches.open(CACHE)).put(address(), Response.json(Object.fromEntries(entries)));
  } catch {
    return;
  }
}
