/** Starts this package's worker. */
export function startWorker(): Worker {
  const here = import.meta.url;
  const { origin } = new URL(here);
  if (here.startsWith("http") && origin !== globalThis.location?.origin) return startFromElsewhere(new URL("worker.js", here));
  // Bundlers look for exactly this form, on one line.
  return new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
}

/** A worker's script must be of the page's origin; the modules that it imports need not be. */
function startFromElsewhere(url: URL): Worker {
  const script = new Blob([`import ${JSON.stringify(url.href)};`], { type: "text/javascript" });
  const scriptUrl = URL.createObjectURL(script);
  const worker = new Worker(scriptUrl, { type: "module" });
  worker.addEventListener("message", () => URL.revokeObjectURL(scriptUrl), { once: true });
  return worker;
}
