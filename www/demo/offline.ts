/** Registers the service worker, which stores the page for offline use. The engine stores the model. */
import { find } from "./dom.js";

let isRegistered = false;

/** Does nothing when called again. */
export async function keepForOffline(): Promise<void> {
  if (!("serviceWorker" in navigator) || isRegistered) return;
  isRegistered = true;
  const registration = await navigator.serviceWorker.register("sw.js");
  const offerUpdate = () => {
    const waiting = registration.waiting;
    if (!waiting || !navigator.serviceWorker.controller) return;
    find("update", HTMLElement).hidden = false;
    find("update-now", HTMLButtonElement).onclick = () => waiting.postMessage("activate");
  };
  offerUpdate();
  registration.addEventListener("updatefound", () => registration.installing?.addEventListener("statechange", offerUpdate));
  reloadOnUpdate();
  await navigator.serviceWorker.ready;
  find("offline", HTMLElement).hidden = false;
}

/** Reloads the page when the user has agreed to a new version; the first service worker takes over without a reload. */
function reloadOnUpdate(): void {
  let controlled = navigator.serviceWorker.controller !== null;
  navigator.serviceWorker.addEventListener("controllerchange", () => {
    if (controlled) location.reload();
    controlled = true;
  });
}
