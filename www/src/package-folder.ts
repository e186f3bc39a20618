/** The files of one package, kept in Cache Storage under its URL, or in memory where that cannot be. */
import { isChromium } from "./browser.js";

export const PACKAGE_CACHE = "ocelli-packages-v1";

/** Below it lie the packages that were made here. No server has them. */
const IMPORTED_PATH = "/ocelli-imported/";

/** The URL of the package that is made here under `id`. */
export function importedUrl(id: string): string {
  return `${globalThis.location.origin}${IMPORTED_PATH}${encodeURIComponent(id)}/`;
}

export function isImported(packageUrl: string): boolean {
  const { origin, pathname } = new URL(packageUrl);
  return origin === globalThis.location.origin && pathname.startsWith(IMPORTED_PATH);
}

/** Storing has come to an end: from then on nothing more is stored. */
export type StorageProblem = "storage-unavailable" | "storage-full";

export interface FolderOptions {
  /** Called once at most. */
  onProblem: (problem: StorageProblem, cause: unknown) => void;
  /** What cannot be stored is kept in memory as long as this thread lives, for what no server could bring again. */
  keepInMemory?: boolean;
}

/** By key. Blobs, because browsers keep large ones outside the thread's own memory. */
const inMemory = new Map<string, Blob>();

export class PackageFolder {
  private isStoring: boolean;

  private constructor(
    /** Absolute, with a slash at the end. */
    readonly url: string,
    /** Absent in private windows of some browsers. */
    private readonly cache: Cache | null,
    private readonly options: FolderOptions,
  ) {
    this.isStoring = cache !== null;
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

  /** What is kept of `file`; with `sha256` only of the version that has it. Nothing is promised of the bytes. */
  async get(file: string, sha256?: string): Promise<Uint8Array<ArrayBuffer> | null> {
    const key = this.key(file, sha256);
    try {
      const kept = inMemory.get(key) ?? (await this.cache?.match(key));
      return kept ? await readWhole(kept) : null;
    } catch {
      // A damaged store is no better than an empty one.
      return null;
    }
  }

  async has(file: string, sha256?: string): Promise<boolean> {
    const key = this.key(file, sha256);
    return inMemory.has(key) || (await this.cache?.match(key).catch(() => undefined)) !== undefined;
  }

  /** Whether `file` is kept now. Never throws for want of room: then `onProblem` is told. */
  async put(file: string, bytes: Uint8Array<ArrayBuffer>, sha256?: string): Promise<boolean> {
    const key = this.key(file, sha256);
    if (this.cache && this.isStoring) {
      try {
        await this.cache.put(key, stored(bytes));
        return true;
      } catch (thrown) {
        this.stopStoring(isQuota(thrown) ? "storage-full" : "storage-unavailable", thrown);
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

  /** Deletes what is kept under this URL but for `wanted`, `[file, sha256]` each; not what is in folders below. */
  async deleteOthers(wanted: readonly (readonly [file: string, sha256?: string])[]): Promise<void> {
    const keys = new Set(wanted.map(([file, sha256]) => this.key(file, sha256)));
    for (const key of await keptKeys(this.cache)) {
      if (folderOf(key) !== this.url || keys.has(key)) continue;
      inMemory.delete(key);
      await this.cache?.delete(key).catch(() => false);
    }
  }

  /** Nothing more goes to storage. */
  stopStoring(problem: StorageProblem, cause: unknown): void {
    if (this.isStoring) this.options.onProblem(problem, cause);
    this.isStoring = false;
  }

  /** The hash is part of the key: a file of another version is another entry. */
  private key(file: string, sha256?: string): string {
    return sha256 === undefined ? this.url + file : `${this.url}${file}?sha256=${sha256}`;
  }
}

async function keptKeys(cache: Cache | null): Promise<string[]> {
  const requests = (await cache?.keys().catch(() => [])) ?? [];
  return [...inMemory.keys(), ...requests.map(({ url }) => url)];
}

/** Of the URL of a file, without what follows the last slash of its path. */
export function folderOf(url: string): string {
  return url.replace(/[?#].*$/, "").replace(/[^/]*$/, "");
}

/**
 * Chromium's blob of a stored response is a reference, and read with one copy less than `arrayBuffer()` makes: half the
 * time. Firefox would write it to a temporary file first. (A byte reader would do in both, but crashes Chromium 156.)
 */
async function readWhole(kept: Blob | Response): Promise<Uint8Array<ArrayBuffer>> {
  const source = isChromium() && kept instanceof Response ? await kept.blob() : kept;
  return new Uint8Array(await source.arrayBuffer());
}

/** With the length beside it, so that listing need not read it. */
function stored(bytes: Uint8Array<ArrayBuffer>): Response {
  const headers = { "content-type": "application/octet-stream", "content-length": `${bytes.length}` };
  return new Response(bytes, { headers });
}

function isQuota(thrown: unknown): boolean {
  return thrown instanceof DOMException && thrown.name === "QuotaExceededError";
}
