/** Stores the page, not the model, for offline use. A version of the page is stored completely or not at all. */
declare const self: ServiceWorkerGlobalScope;
/** Written by the build: every file of the page with its hash, and the hash of them all. */
declare const SHELL: readonly { url: string; integrity: string }[];
declare const VERSION: string;

const PREFIX = "ocelli-shell-";
const CACHE = PREFIX + VERSION;

self.addEventListener("install", (event) => event.waitUntil(storeShell()));
self.addEventListener("activate", (event) => event.waitUntil(dropOldShells().then(() => self.clients.claim())));
self.addEventListener("message", (event) => {
  // The user agreed to the new version.
  if (event.data === "activate") void self.skipWaiting();
});
self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (event.request.method === "GET" && url.origin === self.location.origin && isShell(url)) {
    event.respondWith(fromShell(event.request));
  }
});

const shellUrls = new Set(SHELL.map(({ url }) => new URL(url, self.registration.scope).href));

function isShell(url: URL): boolean {
  return shellUrls.has(url.origin + url.pathname) || url.href.replace(url.search, "") === self.registration.scope;
}

async function fromShell(request: Request): Promise<Response> {
  const cache = await caches.open(CACHE);
  const key = request.mode === "navigate" ? new URL("index.html", self.registration.scope).href : request;
  return (await cache.match(key, { ignoreSearch: true })) ?? fetch(request);
}

/** `integrity` rejects files of another version, such as during a deployment. */
async function storeShell(): Promise<void> {
  const cache = await caches.open(CACHE);
  await cache.addAll(SHELL.map(({ url, integrity }) => new Request(url, { integrity, cache: "no-cache" })));
}

async function dropOldShells(): Promise<void> {
  const names = await caches.keys();
  await Promise.all(names.filter((name) => name.startsWith(PREFIX) && name !== CACHE).map((name) => caches.delete(name)));
}

export {};
