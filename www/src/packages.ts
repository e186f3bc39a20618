/** The packages that this browser keeps, for pages that let their users see and delete them. */
import { parseFiles } from "./manifest.js";
import { folderOf, PACKAGE_CACHE } from "./package-folder.js";

export interface StoredPackage {
  /** What `Engine.load` takes. */
  url: string;
  /** As its manifest says, else the last part of its URL. */
  name: string;
  /** That are stored of it. */
  bytes: number;
  /** Whether it can be loaded without a network; if not, loading goes on where it was interrupted. */
  complete: boolean;
}

export const packages = {
  /** All that are stored, the interrupted ones too. Empty where this window keeps no files. */
  async list(): Promise<StoredPackage[]> {
    const folders = new Map<string, string[]>();
    const cache = await openCache();
    for (const { url } of (await cache?.keys()) ?? []) {
      const folder = folderOf(url);
      folders.set(folder, [...(folders.get(folder) ?? []), url]);
    }
    return Promise.all([...folders].map(([url, keys]) => describe(cache as Cache, url, keys)));
  },

  /** Bytes of all stored packages. */
  async size(): Promise<number> {
    return (await packages.list()).reduce((sum, { bytes }) => sum + bytes, 0);
  },

  /** Deletes what is stored of the package at `url`; whether there was anything. An engine that runs it goes on. */
  async delete(url: string | URL): Promise<boolean> {
    const folder = packageUrl(url);
    const cache = await openCache();
    let found = false;
    for (const key of (await cache?.keys()) ?? []) {
      if (folderOf(key.url) === folder) found = (await cache?.delete(key)) || found;
    }
    return found;
  },

  /**
   * Asks the browser never to clear this site's storage by itself. Call it in a user's click: some browsers ask the
   * user, others decide by how the site is used. Whether storage is persistent now.
   */
  async requestPersistence(): Promise<boolean> {
    const storage: StorageManager | undefined = globalThis.navigator?.storage;
    return (await storage?.persisted?.()) || (await storage?.persist?.()) || false;
  },
};

/** The folder of a package, absolute, with a slash at the end, from that or from the URL of its `model.json`. */
export function packageUrl(url: string | URL): string {
  const absolute = new URL(url, globalThis.document?.baseURI ?? globalThis.location?.href).href;
  const folder = absolute.replace(/[?#].*$/, "").replace(/\/model\.json$/, "/");
  return folder.endsWith("/") ? folder : `${folder}/`;
}

async function openCache(): Promise<Cache | null> {
  try {
    return (await caches.has(PACKAGE_CACHE)) ? await caches.open(PACKAGE_CACHE) : null;
  } catch {
    return null;
  }
}

async function describe(cache: Cache, url: string, keys: string[]): Promise<StoredPackage> {
  const sizes = await Promise.all(keys.map(async (key) => entrySize(await cache.match(key))));
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  const nameless = decodeURIComponent(new URL(url).pathname.split("/").filter(Boolean).at(-1) ?? url);
  const manifest = await cache.match(`${url}model.json`);
  if (!manifest) return { url, name: nameless, bytes, complete: false };
  try {
    const { name, tokenizer, shards } = parseFiles(new Uint8Array(await manifest.arrayBuffer()));
    const stored = new Set(keys);
    const complete = [tokenizer, ...shards].every(({ file, sha256 }) => stored.has(`${url}${file}?sha256=${sha256}`));
    return { url, name: name ?? nameless, bytes, complete };
  } catch {
    return { url, name: nameless, bytes, complete: false };
  }
}

async function entrySize(entry: Response | undefined): Promise<number> {
  const length = entry?.headers.get("content-length");
  return length ? Number(length) : ((await entry?.blob())?.size ?? 0);
}
