/** Packages in Cache Storage, for pages that let users list and delete them. */
import { parseFiles } from "./manifest.js";
import { absoluteUrl, decoded } from "../url.js";
import { folderOf, PACKAGE_CACHE } from "./package-folder.js";

/** A package, or the part of one, in Cache Storage. */
export interface StoredPackage {
  /** Address for `Engine.load`. */
  url: string;
  /** The name in its manifest, otherwise the last part of its URL. */
  name: string;
  /** Bytes stored so far. */
  bytes: number;
  /** True if it can be loaded offline; otherwise loading resumes the interrupted download. */
  complete: boolean;
}

/** The packages that this browser has stored. */
export const packages = {
  /** All stored packages, including incomplete ones. Empty if this window has no storage. */
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

  /** Deletes the package at `url`; resolves to true if anything was stored. An engine that has it loaded is not affected. */
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
   * Asks the browser never to clear this site's storage by itself. Call it in a click handler: some browsers ask the user, others decide
   * by how the site is used. Resolves to true if storage is persistent now.
   */
  async requestPersistence(): Promise<boolean> {
    const storage: StorageManager | undefined = globalThis.navigator?.storage;
    return (await storage?.persisted?.()) || (await storage?.persist?.()) || false;
  },
};

/** The absolute URL of a package's folder, with a slash at the end, from that URL or from the URL of its `model.json`. */
export function packageUrl(url: string | URL): string {
  const folder = absoluteUrl(url)
    .replace(/[?#].*$/, "")
    .replace(/\/model\.json$/, "/");
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
  const lastPart = decoded(new URL(url).pathname.split("/").filter(Boolean).at(-1) ?? url);
  const manifest = await cache.match(`${url}model.json`);
  if (!manifest) return { url, name: lastPart, bytes, complete: false };
  try {
    const { name, tokenizer, shards } = parseFiles(new Uint8Array(await manifest.arrayBuffer()));
    const stored = new Set(keys);
    const complete = [tokenizer, ...shards].every(({ file, sha256 }) => stored.has(`${url}${file}?sha256=${sha256}`));
    return { url, name: name ?? lastPart, bytes, complete };
  } catch {
    return { url, name: lastPart, bytes, complete: false };
  }
}

async function entrySize(entry: Response | undefined): Promise<number> {
  const length = entry?.headers.get("content-length");
  return length ? Number(length) : ((await entry?.blob())?.size ?? 0);
}
