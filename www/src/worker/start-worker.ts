/** Starts this package's worker, and says where the wasm module is. */
import { ocelliError } from "../errors.js";
import { absoluteUrl } from "../url.js";

/** Where the parts of this package are, for pages whose bundler does not find them. */
export interface Parts {
  /** A worker that runs this package's `worker.js`. */
  worker?: Worker;
  /** Where `worker.js` is, if not beside this package's script. */
  workerUrl?: string | URL;
  /** Where `ocelli_bg.wasm` is, if not in the folder `wasm` beside this package's script. */
  wasmUrl?: string | URL;
  /** Where `ocelli_grammar_bg.wasm` is, if not there either. It is loaded when the first request wants a format. */
  grammarUrl?: string | URL;
}

/** Throws `webgpu-unavailable` where there are no workers, as on a server, and `internal` where this one cannot be started. */
export function startWorker({ worker, workerUrl }: Parts): Worker {
  if (worker) return worker;
  if (typeof Worker === "undefined") {
    const reason = "there are no workers here: load the model in the page, not while it is rendered on a server";
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

/** The address of the wasm module; `null` if only the worker can tell, where this script was bundled into one without an address. */
export function wasmAddress({ wasmUrl }: Parts): string | null {
  if (wasmUrl !== undefined) return absoluteUrl(wasmUrl);
  try {
    return new URL("./wasm/ocelli_bg.wasm", import.meta.url).href;
  } catch {
    return null;
  }
}

/** The same of the module for formats. */
export function grammarAddress({ grammarUrl }: Parts): string | null {
  if (grammarUrl !== undefined) return absoluteUrl(grammarUrl);
  try {
    return new URL("./wasm/ocelli_grammar_bg.wasm", import.meta.url).href;
  } catch {
    return null;
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
