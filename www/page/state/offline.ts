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
  await navigator.serviceWorker.ready;
  await storeProcessor();
  worksOffline.value = true;
}

/**
 * Requests the modules for the processor once more, if the model runs on it, so that the service worker stores them: the first visit loads one before
 * the service worker is there. A later visit may have threads, which need another module.
 */
async function storeProcessor(): Promise<void> {
  if (device.value?.backend !== "Cpu") return;
  if (!navigator.serviceWorker.controller) {
    await new Promise((resolve) => navigator.serviceWorker.addEventListener("controllerchange", resolve, { once: true }));
  }
  const kind = device.value.driver.includes("relaxed") ? "cpu_relaxed" : "cpu";
  await Promise.all([kind, `${kind}_threads`].map((name) => fetch(`ocelli/wasm/ocelli_${name}_bg.wasm`)));
}

/** Reloads the page when the user has agreed to a new version; the first service worker takes over without a reload. */
function reloadOnUpdate(): void {
  let controlled = navigator.serviceWorker.controller !== null;
  navigator.serviceWorker.addEventListener("controllerchange", () => {
    if (controlled) location.reload();
    controlled = true;
  });
}
