/**
 * A package's files, from Cache Storage or the network. What comes from either is trusted only once its hash is right;
 * a stored file that is damaged is replaced, and an interrupted download goes on at the first file that is missing.
 */
import { download } from "./download.js";
import { OcelliError, ocelliError } from "./errors.js";
import type { Sha256 } from "./hash.js";
import { parseFiles, type FileEntry } from "./manifest.js";
import type { LoadReport } from "./protocol.js";

export const PACKAGE_CACHE = "ocelli-packages-v1";

/** How long the network may keep a page waiting that has everything stored. */
const NETWORK_PATIENCE_MS = 8000;

export interface PackageIndex {
  manifest: Uint8Array<ArrayBuffer>;
  tokenizer: Uint8Array<ArrayBuffer>;
  shards: FileEntry[];
}

export interface StoreOptions {
  /** The folder of `model.json`, absolute, with a slash at the end. */
  packageUrl: string;
  sha256: Sha256;
  signal: AbortSignal;
  onReport: (report: LoadReport) => void;
}

export class PackageStore {
  private loaded = 0;
  private total = 0;

  private constructor(
    /** Absent in private windows of some browsers: then everything is fetched and nothing kept. */
    private cache: Cache | null,
    private readonly options: StoreOptions,
  ) {}

  static async open(options: StoreOptions): Promise<PackageStore> {
    let cache: Cache | null = null;
    try {
      cache = await caches.open(PACKAGE_CACHE);
    } catch {
      const message = "This browser window keeps no files: the model will be downloaded again next time.";
      options.onReport({ kind: "warning", code: "storage-unavailable", message });
    }
    return new PackageStore(cache, options);
  }

  /** The manifest, from the network if it answers, so that a new version is seen, else as stored; and the tokenizer. */
  async index(): Promise<PackageIndex> {
    this.options.onReport({ kind: "progress", stage: "manifest", loaded: 0, total: 0, cached: false });
    const manifest = await this.networkFirst("model.json");
    const { tokenizer, shards } = parseFiles(manifest);
    const files = [tokenizer, ...shards];
    this.total = files.reduce((sum, file) => sum + file.bytes, 0);
    await this.dropOutdated(files);
    return { manifest, tokenizer: await this.file(tokenizer), shards };
  }

  /** The shards in order. The next one is under way while the caller uploads the last. */
  async *shards(shards: FileEntry[]): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    let next = this.ahead(shards[0]);
    for (let index = 0; index < shards.length; index++) {
      const bytes = await next;
      next = this.ahead(shards[index + 1]);
      if (bytes) yield bytes;
    }
  }

  private ahead(shard: FileEntry | undefined): Promise<Uint8Array<ArrayBuffer> | null> {
    const bytes = shard ? this.file(shard) : Promise.resolve(null);
    // Awaited by the loop above; until then a failure is not unhandled, only early.
    bytes.catch(() => undefined);
    return bytes;
  }

  private async file(file: FileEntry): Promise<Uint8Array<ArrayBuffer>> {
    const stored = await this.stored(file);
    if (stored === "damaged") await this.cache?.delete(this.key(file));
    const bytes = stored instanceof Uint8Array ? stored : await this.fetchFile(file);
    if (stored === "damaged") this.options.onReport({ kind: "repaired", file: file.file });
    this.loaded += file.bytes;
    this.progress(0, stored instanceof Uint8Array);
    return bytes;
  }

  private async stored(file: FileEntry): Promise<Uint8Array<ArrayBuffer> | "damaged" | "missing"> {
    const response = await this.cache?.match(this.key(file));
    if (!response) return "missing";
    this.options.signal.throwIfAborted();
    const bytes = new Uint8Array(await response.arrayBuffer());
    return (await this.options.sha256(bytes)) === file.sha256 ? bytes : "damaged";
  }

  /** Twice at most: a file that is wrong both times is wrong at its source. */
  private async fetchFile({ file, bytes: size, sha256 }: FileEntry): Promise<Uint8Array<ArrayBuffer>> {
    let actual = "";
    for (let attempt = 0; attempt < 2; attempt++) {
      const bytes = await download(this.url(file), {
        signal: this.options.signal,
        cache: attempt === 0 ? "default" : "reload",
        bytes: size,
        onBytes: (loaded) => this.progress(loaded, false),
      });
      actual = await this.options.sha256(bytes);
      if (actual === sha256) {
        await this.keep(this.key({ file, bytes: size, sha256 }), bytes);
        return bytes;
      }
    }
    const detail = { file, expected: sha256, actual };
    throw ocelliError("integrity", `${file}: SHA-256 is ${actual}, the manifest says ${sha256}`, detail);
  }

  private async networkFirst(file: string): Promise<Uint8Array<ArrayBuffer>> {
    const url = this.url(file);
    const stored = await this.cache?.match(url);
    const { signal } = this.options;
    const patience = stored ? AbortSignal.any([signal, AbortSignal.timeout(NETWORK_PATIENCE_MS)]) : signal;
    try {
      const bytes = await download(url, { signal: patience, cache: "no-cache" });
      await this.keep(url, bytes);
      return bytes;
    } catch (thrown) {
      signal.throwIfAborted();
      if (!stored || isRefusal(thrown)) throw thrown;
      return new Uint8Array(await stored.arrayBuffer());
    }
  }

  private async keep(key: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    try {
      await this.cache?.put(key, new Response(bytes));
    } catch (thrown) {
      if (!(thrown instanceof DOMException)) throw thrown;
      // Running from memory is better than not running; the next load tries to store again.
      this.cache = null;
      const message = "There is no room to keep the model: it will be downloaded again next time.";
      this.options.onReport({ kind: "warning", code: "storage-full", message });
    }
  }

  /** Files of an earlier version of this package would never be read again. */
  private async dropOutdated(files: FileEntry[]): Promise<void> {
    if (!this.cache) return;
    const wanted = new Set([this.url("model.json"), ...files.map((file) => this.key(file))]);
    for (const { url } of await this.cache.keys()) {
      if (url.startsWith(this.options.packageUrl) && !wanted.has(url)) await this.cache.delete(url);
    }
  }

  private progress(inFlight: number, cached: boolean): void {
    const loaded = Math.min(this.loaded + inFlight, this.total);
    this.options.onReport({ kind: "progress", stage: "weights", loaded, total: this.total, cached });
  }

  private url(file: string): string {
    return this.options.packageUrl + file;
  }

  /** The hash is part of the key: a file of another version is another entry. */
  private key({ file, sha256 }: FileEntry): string {
    return `${this.url(file)}?sha256=${sha256}`;
  }
}

/** The server is there and says no: an answer, not an outage. */
function isRefusal(thrown: unknown): boolean {
  const status = thrown instanceof OcelliError ? thrown.detail?.["status"] : null;
  return typeof status === "number" && status < 500;
}
