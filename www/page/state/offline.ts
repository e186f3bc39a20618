/** Registers the service worker, which stores the page for offline use. The engine stores the model. */
import { signal } from "@preact/signals-core";
import { device } from "./engine.js";

/** True once the page works without a network. */
export const worksOffline = signal(false);
/** Takes over to a new version of the page; `null` if there is none. */
export const update = signal<(() => void) | null>(null);

let isRegistered = false;

/** Does nothing when called again. */
export async function keepForOffline(): Promise<void> {
  if (!("serviceWorker" in navigator) || isRegistered) return;
  isRegistered = true;
  const registration = await navigator.serviceWorker.register("sw.js");
  const offerUpdate = () => {
    const waiting = registration.waiting;
    if (waiting && navigator.serviceWorker.controller) update.value = () => waiting.postMessage("activate");
  };
  offerUpdate();
  registration.addEventListener("updatefound", () => registration.installing?.addEventListener("statechange", offerUpdate));
  reloadOnUpdate();
  const { active } = await navigator.serviceWorker.ready;
  const files = [...languageFiles(), ...(device.value?.backend === "Cpu" ? processorFiles(device.value.driver) : [])];
  worksOffline.value = files.length === 0 || (active !== null && (await keep(active, files)));
}

/**
 * Modules for a processor with these instructions: the first visit loads one before the service worker is there to store it, and a later visit may have
 * threads, which need another one.
 */
function processorFiles(instructions: string): string[] {
  const name = instructions.includes("relaxed") ? "cpu_relaxed" : "cpu";
  return [name, `${name}_threads`].map((name) => `ocelli/wasm/ocelli_${name}_bg.wasm`);
}

/** The scripts of the language, which the first visit loads before the service worker is there to store them. */
function languageFiles(): string[] {
  const names = performance.getEntriesByType("resource").map(({ name }) => name);
  return names.filter((name) => /\/(main|late)-[A-Z0-9]{8}\.js$/.test(name));
}

/** Lets the service worker store files; it need not control this page. Returns true if all of them are. */
function keep(worker: ServiceWorker, files: string[]): Promise<boolean> {
  const { port1, port2 } = new MessageChannel();
  return new Promise((resolve) => {
    port1.onmessage = ({ data }) => resolve(data === true);
    worker.postMessage({ keep: files }, [port2]);
  });
}

/** Reloads the page when the user has agreed to a new version; the first service worker takes over without a reload. */
function reloadOnUpdate(): void {
  let controlled = navigator.serviceWorker.controller !== null;
  navigator.serviceWorker.addEventListener("controllerchange", () => {
    if (controlled) location.reload();
    controlled = true;
  });
}
