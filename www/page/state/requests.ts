/** Requests to other sites, as the service worker reports them. */
import { signal } from "@preact/signals-core";

/** A request: when, and where to, without what follows the path. */
export interface SeenRequest {
  at: number;
  address: string;
}

export const requests = signal<readonly SeenRequest[]>([]);

/** Only the newest are kept. */
const MOST = 500;

export function listenForRequests(): void {
  navigator.serviceWorker?.addEventListener("message", ({ data }: MessageEvent<{ request?: unknown }>) => {
    if (typeof data?.request === "string") requests.value = [...requests.value, { at: Date.now(), address: data.request }].slice(-MOST);
  });
  // Messages before this wait until they are asked for.
  navigator.serviceWorker?.startMessages();
}
