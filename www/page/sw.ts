/** Stores the page, not the model, for offline use. A version of the page is stored completely or not at all. */
declare const self: ServiceWorkerGlobalScope;
/** Written by the build: every file of the page with its hash, and the hash of them all. `isLate`: stored when it is first requested. */
declare const SHELL: readonly { url: string; integrity: string; isLate: boolean }[];
declare const VERSION: string;

const PREFIX = "ocelli-shell-";
const CACHE = PREFIX + VERSION;
/** Also in `state/inbox.ts`. */
const INBOX = "ocelli-inbox";

self.addEventListener("install", (event) => event.waitUntil(storeShell()));
self.addEventListener("activate", (event) => event.waitUntil(dropOldShells().then(() => self.clients.claim())));
self.addEventListener("message", (event) => {
  // The user agreed to the new version.
  if (event.data === "activate") void self.skipWaiting();
  const { keep } = event.data as { keep?: string[] };
  if (keep) event.waitUntil(areKept(keep).then((kept) => event.ports[0]?.postMessage(kept)));
});
self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (url.origin !== self.location.origin && /^https?:$/.test(url.protocol)) event.waitUntil(tellRequest(url));
  if (event.request.method === "POST" && url.href === new URL("share", self.registration.scope).href) {
    return event.respondWith(takeShared(event.request));
  }
  if (event.request.method === "GET" && url.origin === self.location.origin && isShell(url)) {
    event.respondWith(fromShell(event.request));
  }
});

/** Tells the pages of a request to another site, which they list for the user. */
async function tellRequest({ origin, pathname }: URL): Promise<void> {
  for (const client of await self.clients.matchAll({ type: "window" })) client.postMessage({ request: origin + pathname });
}

/** Puts the pictures that another program shares where the page takes them. Without room, none is kept. */
async function takeShared(request: Request): Promise<Response> {
  const to = (hash: string) => Response.redirect(new URL(`./#/inbox${hash}`, self.registration.scope).href, 303);
  try {
    const given = (await request.formData()).getAll("pictures").filter((entry) => entry instanceof File);
    const inbox = await caches.open(INBOX);
    const before = (await inbox.keys()).length;
    for (const [index, file] of given.entries()) {
      const headers = { "content-type": file.type || "application/octet-stream", "x-name": encodeURIComponent(file.name) };
      await inbox.put(`shared/${before + index}`, new Response(file, { headers }));
    }
    return to("");
  } catch {
    await caches.delete(INBOX);
    return to("?full");
  }
}

const files = new Map(SHELL.map((file) => [new URL(file.url, self.registration.scope).href, file]));

/** The address of a page within the shell is its fragment, which requests have, too. */
function isShell({ origin, pathname }: URL): boolean {
  return files.has(origin + pathname) || origin + pathname === self.registration.scope;
}

async function fromShell(request: Request): Promise<Response> {
  const cache = await caches.open(CACHE);
  const { origin, pathname } = new URL(request.url);
  const file = files.get(origin + pathname);
  const stored = await cache.match(new URL(file?.url ?? "index.html", self.registration.scope).href);
  if (stored) return isolated(stored);
  if (!file?.isLate) return fetch(request);
  const response = await fetch(asBuilt(file));
  // Without room for it, it is fetched again the next time.
  if (response.ok) await cache.put(origin + pathname, response.clone()).catch(() => undefined);
  return response;
}

/** Stores files of the page. Returns true if all of them are stored. */
async function areKept(files: string[]): Promise<boolean> {
  const urls = files.map((file) => new URL(file, self.registration.scope).href);
  await Promise.all(urls.map((url) => fromShell(new Request(url)).catch(() => undefined)));
  const cache = await caches.open(CACHE);
  return (await Promise.all(urls.map((url) => cache.match(url)))).every((stored) => stored !== undefined);
}

/** The response with the headers of cross-origin isolation, which not every host sends: the processor then computes on several threads. */
function isolated(response: Response): Response {
  const headers = new Headers(response.headers);
  headers.set("cross-origin-opener-policy", "same-origin");
  headers.set("cross-origin-embedder-policy", "require-corp");
  return new Response(response.body, { status: response.status, statusText: response.statusText, headers });
}

/** `integrity` rejects files of another version, such as during a deployment. */
function asBuilt({ url, integrity }: (typeof SHELL)[number]): Request {
  return new Request(url, { integrity, cache: "no-cache" });
}

/** Late files that an earlier version had stored will be needed from this one, too. */
async function storeShell(): Promise<void> {
  const cache = await caches.open(CACHE);
  const known = await Promise.all(SHELL.map(async (file) => !file.isLate || (await caches.match(file.url)) !== undefined));
  await cache.addAll(SHELL.filter((_, index) => known[index]).map(asBuilt));
}

async function dropOldShells(): Promise<void> {
  const names = await caches.keys();
  await Promise.all(names.filter((name) => name.startsWith(PREFIX) && name !== CACHE).map((name) => caches.delete(name)));
}

export {};
