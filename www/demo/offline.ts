/** The service worker keeps the page itself for offline use; the model is kept by the engine. */
import { find } from "./dom.js";

let isAsked = false;

/** Once: a model that is loaded later changes nothing about the page. */
export async function keepForOffline(): Promise<void> {
  if (!("serviceWorker" in navigator) || isAsked) return;
  isAsked = true;
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

/** The first service worker takes over silently; one that replaces another was asked for. */
function reloadOnUpdate(): void {
  let controlled = navigator.serviceWorker.controller !== null;
  navigator.serviceWorker.addEventListener("controllerchange", () => {
    if (controlled) location.reload();
    controlled = true;
  });
}
