/** Usage in Cache Storage, one text of JSON lines for each day. Tabs count at the same time: each replaces an entry under a lock. */
import { storeOrigin } from "../store/browser.js";
import { type Counts, Sums } from "./report.js";

const CACHE = "ocelli-usage-v1";

/** Used if nothing can be stored: in private windows of some browsers, and if storage is full. */
const inMemory = new Map<string, string>();

const folder = () => `${storeOrigin()}/ocelli-usage/`;

/** Usage of one day. */
export async function readDay(day: string): Promise<Sums> {
  return new Sums(await read(await openCache(), folder() + day));
}

/** Adds to the usage of a key on a day. */
export async function addTo(day: string, key: string, counts: Counts): Promise<void> {
  await locked(async () => {
    const [cache, url] = [await openCache(), folder() + day];
    const before = await read(cache, url);
    const sums = new Sums(before);
    sums.add(day, key, counts);
    // Damaged lines are kept unchanged.
    const lines = before.split("\n");
    const damaged = sums.damaged.map((line) => `${lines[line - 1] ?? ""}\n`).join("");
    await write(cache, url, damaged + sums.text());
  });
}

/** Usage of all days. */
export async function readAll(): Promise<Sums> {
  const cache = await openCache();
  const urls = new Set([...((await cache?.keys()) ?? []).map(({ url }) => url), ...inMemory.keys()]);
  const texts = await Promise.all([...urls].filter((url) => url.startsWith(folder())).map((url) => read(cache, url)));
  return new Sums(texts.join("\n"));
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

/** Workers without locks have only one engine. */
async function locked(act: () => Promise<void>): Promise<void> {
  const locks: LockManager | undefined = globalThis.navigator?.locks;
  if (locks) await locks.request(CACHE, act);
  else await act();
}
