/** Registers the service worker, which stores the page for offline use. The engine stores the model. */
import { signal } from "@preact/signals-core";

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
  worksOffline.value = true;
}

/** Reloads the page when the user has agreed to a new version; the first service worker takes over without a reload. */
function reloadOnUpdate(): void {
  let controlled = navigator.serviceWorker.controller !== null;
  navigator.serviceWorker.addEventListener("controllerchange", () => {
    if (controlled) location.reload();
    controlled = true;
  });
}
