/** Files of one package in Cache Storage, under its URL, or in memory if storage fails. */
import { isChromium, isWeb, storeOrigin } from "./browser.js";

export const PACKAGE_CACHE = "ocelli-packages-v1";

/** URL path of packages that were imported in this browser. No server has them. */
const IMPORTED_PATH = "/ocelli-imported/";

/** The URL of the imported package `id`. */
export function importedUrl(id: string): string {
  return `${storeOrigin()}${IMPORTED_PATH}${encodeURIComponent(id)}/`;
}

export function isImported(packageUrl: string): boolean {
  const { origin, pathname } = new URL(packageUrl);
  return origin === storeOrigin() && pathname.startsWith(IMPORTED_PATH);
}

/** Reason why nothing more is stored. */
export type StorageProblem = "storage-unavailable" | "storage-full";

export interface FolderOptions {
  /** Called at most once. */
  onProblem: (problem: StorageProblem, cause: unknown) => void;
  /** Keeps files that cannot be stored in memory while this thread lives: for imports, which no server has. */
  keepInMemory?: boolean;
}

/** Files in memory by key. They are blobs, because browsers hold large ones outside the memory of this thread. */
const inMemory = new Map<string, Blob>();

export class PackageFolder {
  private isStoring: boolean;

  private constructor(
    /** Absolute URL with a slash at the end. */
    readonly url: string,
    /** Absent in private windows of some browsers. */
    private readonly cache: Cache | null,
    private readonly options: FolderOptions,
  ) {
    this.isStoring = cache !== null && isWeb(url);
  }

  static async open(url: string, options: FolderOptions): Promise<PackageFolder> {
    let cache: Cache | null = null;
    try {
      cache = await caches.open(PACKAGE_CACHE);
    } catch (cause) {
      options.onProblem("storage-unavailable", cause);
    }
    return new PackageFolder(url, cache, options);
  }

  /** The stored bytes of `file` in the version `sha256`. The hash is not checked here. */
  async get(file: string, sha256?: string): Promise<Uint8Array<ArrayBuffer> | null> {
    const key = this.key(file, sha256);
    try {
      const stored = inMemory.get(key) ?? (await this.cache?.match(key));
      return stored ? await readWhole(stored) : null;
    } catch {
      // A damaged store is treated as an empty one.
      return null;
    }
  }

  async has(file: string, sha256?: string): Promise<boolean> {
    const key = this.key(file, sha256);
    return inMemory.has(key) || (await this.cache?.match(key).catch(() => undefined)) !== undefined;
  }

  /** Stores `file`; resolves to true if it is stored or in memory now. A full store calls `onProblem` and does not throw. */
  async put(file: string, bytes: Uint8Array<ArrayBuffer>, sha256?: string): Promise<boolean> {
    const key = this.key(file, sha256);
    if (this.cache && this.isStoring) {
      try {
        await this.cache.put(key, response(bytes));
        return true;
      } catch (thrown) {
        this.stopStoring(isQuotaError(thrown) ? "storage-full" : "storage-unavailable", thrown);
      }
    }
    if (this.options.keepInMemory) inMemory.set(key, new Blob([bytes]));
    return this.options.keepInMemory === true;
  }

  async delete(file: string, sha256?: string): Promise<void> {
    const key = this.key(file, sha256);
    inMemory.delete(key);
    await this.cache?.delete(key).catch(() => false);
  }

  /** Deletes all files of this folder except `wanted`, each `[file, sha256]`. Folders below it are left alone. */
  async deleteOthers(wanted: readonly (readonly [file: string, sha256?: string])[]): Promise<void> {
    const keys = new Set(wanted.map(([file, sha256]) => this.key(file, sha256)));
    for (const key of await storedKeys(this.cache)) {
      if (folderOf(key) !== this.url || keys.has(key)) continue;
      inMemory.delete(key);
      await this.cache?.delete(key).catch(() => false);
    }
  }

  /** Stops storing further files. */
  stopStoring(problem: StorageProblem, cause: unknown): void {
    if (this.isStoring) this.options.onProblem(problem, cause);
    this.isStoring = false;
  }

  /** The hash is part of the key: another version of a file is another entry. */
  private key(file: string, sha256?: string): string {
    return sha256 === undefined ? this.url + file : `${this.url}${file}?sha256=${sha256}`;
  }
}

async function storedKeys(cache: Cache | null): Promise<string[]> {
  const requests = (await cache?.keys().catch(() => [])) ?? [];
  return [...inMemory.keys(), ...requests.map(({ url }) => url)];
}

/** The URL of the folder that a file is in. */
export function folderOf(url: string): string {
  return url.replace(/[?#].*$/, "").replace(/[^/]*$/, "");
}

/**
 * In Chromium the blob of a stored response is a reference; reading it takes one copy less than `arrayBuffer()` of the response, and
 * half the time. Firefox would write the blob to a temporary file. (A BYOB reader is as fast in both, but crashes Chromium 156.)
 */
async function readWhole(stored: Blob | Response): Promise<Uint8Array<ArrayBuffer>> {
  const source = isChromium() && stored instanceof Response ? await stored.blob() : stored;
  return new Uint8Array(await source.arrayBuffer());
}

/** A response with its length as a header, so that listing packages need not read the body. */
function response(bytes: Uint8Array<ArrayBuffer>): Response {
  const headers = { "content-type": "application/octet-stream", "content-length": `${bytes.length}` };
  return new Response(bytes, { headers });
}

function isQuotaError(thrown: unknown): boolean {
  return thrown instanceof DOMException && thrown.name === "QuotaExceededError";
}
