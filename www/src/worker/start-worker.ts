/** Starts this package's worker. */
import { ocelliError } from "../errors.js";
import type { ModuleOptions } from "../net/module-urls.js";
import { isNode } from "../node.js";
import { absoluteUrl } from "../url.js";
import type { EngineWorker } from "./connection.js";
import { startThread } from "./start-thread.js";

/** Locations of this package's parts, for pages with a bundler that does not find them. */
export interface Parts extends ModuleOptions {
  /** A worker that runs this package's `worker.js`. */
  worker?: Worker;
  /** Address of `worker.js`, if not beside this package's script. */
  workerUrl?: string | URL;
}

/** Starts a worker, or a thread in Node; see {@link startWebWorker}. */
export function startWorker(parts: Parts): EngineWorker {
  if (parts.worker || !isNode()) return startWebWorker(parts);
  const here = import.meta.url;
  const script = parts.workerUrl === undefined ? new URL("worker.js", here).href : absoluteUrl(parts.workerUrl);
  return startThread(script, new URL("node-worker.js", here));
}

/** Throws `webgpu-unavailable` if there are no workers, and `internal` if this one cannot be started. */
export function startWebWorker({ worker, workerUrl }: Parts): Worker {
  if (worker) return worker;
  if (typeof Worker === "undefined") {
    const reason = "there are no workers here";
    throw ocelliError("webgpu-unavailable", `no usable GPU adapter: ${reason}`, { reason });
  }
  const url = workerUrl === undefined ? null : absoluteUrl(workerUrl);
  try {
    const here = import.meta.url;
    const script = url ?? new URL("worker.js", here).href;
    if (script.startsWith("http") && new URL(script).origin !== globalThis.location.origin) return startFromElsewhere(script);
    if (url !== null) return new Worker(url, { type: "module" });
    // Bundlers look for exactly this form, on one line.
    return new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  } catch (cause) {
    const what = "the worker could not be started; `workerUrl` says where its script is";
    throw ocelliError("internal", what, { detail: what }, cause);
  }
}

/** A worker's script must be of the page's origin; the modules that it imports need not be. */
function startFromElsewhere(url: string): Worker {
  const script = new Blob([`import ${JSON.stringify(url)};`], { type: "text/javascript" });
  const scriptUrl = URL.createObjectURL(script);
  const worker = new Worker(scriptUrl, { type: "module" });
  worker.addEventListener("message", () => URL.revokeObjectURL(scriptUrl), { once: true });
  return worker;
}
