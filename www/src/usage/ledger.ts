/** Storage of usage: a text for each day in Cache Storage. Engines of several tabs may count at once, so each text is replaced under a lock. */
import { storeOrigin } from "../store/browser.js";

const CACHE = "ocelli-usage-v1";

/** Texts that cannot be stored: in private windows of some browsers, and if storage is full. */
const inMemory = new Map<string, string>();

const folder = () => `${storeOrigin()}/ocelli-usage/`;

/** Replaces the text of a day by `change` of it. */
export async function updateDay(day: string, change: (text: string) => string): Promise<void> {
  await locked(async () => {
    const [cache, url] = [await openCache(), folder() + day];
    const before = await read(cache, url);
    const after = change(before);
    if (after !== before) await write(cache, url, after);
  });
}

/** The texts of all days. */
export async function readAll(): Promise<string> {
  const cache = await openCache();
  const urls = new Set([...((await cache?.keys()) ?? []).map(({ url }) => url), ...inMemory.keys()]);
  const texts = await Promise.all([...urls].filter((url) => url.startsWith(folder())).map((url) => read(cache, url)));
  return texts.join("\n");
}

async function openCache(): Promise<Cache | null> {
  try {
    return await caches.open(CACHE);
  } catch {
    return null;
  }
}

async function read(cache: Cache | null, url: string): Promise<string> {
  const stored = await cache?.match(url).catch(() => undefined);
  return inMemory.get(url) ?? (await stored?.text()) ?? "";
}

async function write(cache: Cache | null, url: string, text: string): Promise<void> {
  try {
    if (!cache) throw new Error("no storage");
    await cache.put(url, new Response(text, { headers: { "content-type": "application/jsonl" } }));
    inMemory.delete(url);
  } catch {
    inMemory.set(url, text);
  }
}

let last = Promise.resolve();

/** Runs `act` after the earlier ones. Without locks, one worker has the only engine. */
async function locked(act: () => Promise<void>): Promise<void> {
  const locks: LockManager | undefined = globalThis.navigator?.locks;
  if (locks) await locks.request(CACHE, act);
  else await (last = last.then(act, act));
}
