/**
 * A package's files, from Cache Storage or the network. Bytes from either are used only once their hash is verified; a damaged stored
 * file is replaced, and an interrupted download continues with the first file that is missing.
 */
import { OcelliError, ocelliError } from "../errors.js";
import { download } from "../net/download.js";
import { Mirrors, retryPolicy, type NetworkOptions } from "../net/mirrors.js";
import { HashPool } from "./hash-pool.js";
import type { Sha256 } from "./hash.js";
import { parseFiles, type FileEntry } from "./manifest.js";
import { isImported, PackageFolder, type StorageProblem } from "./package-folder.js";
import { Progress } from "./progress.js";
import { freeBytes, readableBytes } from "./quota.js";
import type { LoadReport } from "./report.js";

/** Milliseconds that a completely stored package waits for the network. */
const MANIFEST_TIMEOUT_MS = 8000;

/** Shards that are loaded ahead with the requested one; together at most 128 MiB. */
const READ_AHEAD = 3;

export interface PackageIndex {
  manifest: Uint8Array<ArrayBuffer>;
  tokenizer: Uint8Array<ArrayBuffer>;
  shards: number;
}

export interface StoreOptions {
  /** The folder of `model.json`, absolute, with a slash at the end. */
  packageUrl: string;
  /** Other folders with the same files, in the order of preference. */
  mirrors?: readonly string[];
  /** `prefer`: a package that cannot be stored is run from memory, with a warning; `require`: it is refused. Default `prefer`. */
  storage?: "prefer" | "require";
  sha256: Sha256;
  /** Aborts everything; the store cannot be used afterwards. */
  signal: AbortSignal;
  onReport: (report: LoadReport) => void;
  network?: NetworkOptions;
}

export class PackageStore {
  private shards: FileEntry[] = [];
  /** Shards that are loaded ahead of the caller, by index. */
  private readonly ahead = new Map<number, Promise<Uint8Array<ArrayBuffer>>>();
  /** Index after the last requested shard. */
  private nextIndex = 0;
  private readonly progress: Progress;
  private readonly pool: HashPool;

  private constructor(
    private readonly folder: PackageFolder,
    private readonly mirrors: Mirrors,
    private readonly options: StoreOptions,
  ) {
    this.progress = new Progress(options.onReport);
    this.pool = new HashPool(options.sha256, options.signal);
  }

  /** Throws `storage-unavailable` if storage is required and there is none. */
  static async open(options: StoreOptions): Promise<PackageStore> {
    const { packageUrl, mirrors = [], network = {}, storage, onReport } = options;
    const onProblem = (code: StorageProblem, cause: unknown) => {
      const shortage = cause instanceof Shortage ? cause : null;
      const message = code === "storage-full" ? fullMessage(shortage) : "This browser window keeps no files";
      const detail = shortage && { wanted: shortage.wanted, free: shortage.free };
      if (storage === "require") throw ocelliError(code, message, detail, cause);
      onReport({ kind: "warning", code, message: `${message}: the model will be downloaded again next time.`, detail });
    };
    const folder = await PackageFolder.open(packageUrl, { onProblem });
    return new PackageStore(folder, new Mirrors([packageUrl, ...mirrors], retryPolicy(network)), options);
  }

  /** The tokenizer, and the manifest: from the network, so that a new version is noticed, otherwise the stored one. */
  async index(): Promise<PackageIndex> {
    this.options.onReport({ kind: "progress", stage: "manifest", loaded: 0, total: 0, cached: false });
    const { bytes: manifest, isNew } = await this.manifest();
    const { tokenizer, shards } = parseFiles(manifest);
    if (isNew) await this.folder.put("model.json", manifest);
    const files = [tokenizer, ...shards];
    this.shards = shards;
    this.progress.expect(files);
    await this.folder.deleteOthers([["model.json"], ...files.map(({ file, sha256 }) => [file, sha256] as const)]);
    await this.checkQuota(files);
    return { manifest, tokenizer: await this.file(tokenizer), shards: shards.length };
  }

  /** Shard `index`, verified. If shards are asked for in order, the next ones are loaded ahead. */
  async shard(index: number): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = this.ahead.get(index) ?? this.load(index);
    this.ahead.delete(index);
    if (index !== this.nextIndex) this.ahead.clear();
    else {
      for (let next = index + 1; next <= Math.min(index + READ_AHEAD, this.shards.length - 1); next++) {
        if (!this.ahead.has(next)) this.ahead.set(next, this.load(next));
      }
    }
    this.nextIndex = index + 1;
    return bytes;
  }

  private load(index: number): Promise<Uint8Array<ArrayBuffer>> {
    const shard = this.shards[index];
    const bytes = shard ? this.file(shard) : Promise.reject(ocelliError("internal", `there is no shard ${index}`));
    // A shard loaded ahead may fail before anything awaits it; that must not count as an unhandled rejection.
    bytes.catch(() => undefined);
    return bytes;
  }

  private async file(entry: FileEntry): Promise<Uint8Array<ArrayBuffer>> {
    const { file, sha256 } = entry;
    const unverified = await this.folder.get(file, sha256);
    const stored = unverified && (await this.pool.hash(unverified));
    if (stored?.sha256 === sha256) {
      this.progress.done(entry, true);
      return stored.bytes;
    }
    if (stored) await this.folder.delete(file, sha256);
    if (isImported(this.folder.url)) throw stored ? damaged(file, sha256, stored.sha256) : this.notStored(file);
    const bytes = await this.fetchFile(entry);
    if (stored) this.options.onReport({ kind: "repaired", file });
    this.progress.done(entry, false);
    return bytes;
  }

  /** Tries every mirror once, a single one twice. If all are wrong, the file is wrong at its source. */
  private async fetchFile(entry: FileEntry): Promise<Uint8Array<ArrayBuffer>> {
    const { file, bytes: size, sha256 } = entry;
    const { signal } = this.options;
    const onBytes = (loaded: number) => this.progress.partial(entry, loaded);
    const corrupt = new Set<string>();
    let actual = "";
    for (let attempt = 0; attempt < Math.max(2, this.mirrors.count); attempt++) {
      const except = corrupt.size < this.mirrors.count ? corrupt : new Set<string>();
      const cache = attempt === 0 ? "default" : "reload";
      const { bytes, from } = await download(this.mirrors, file, { signal, cache, bytes: size, onBytes, except });
      const hashed = await this.pool.hash(bytes);
      if (hashed.sha256 === sha256) {
        await this.folder.put(file, hashed.bytes, sha256);
        return hashed.bytes;
      }
      actual = hashed.sha256;
      corrupt.add(from);
      this.mirrors.reportCorrupt(from);
    }
    throw damaged(file, sha256, actual);
  }

  private async manifest(): Promise<{ bytes: Uint8Array<ArrayBuffer>; isNew: boolean }> {
    const file = "model.json";
    const stored = await this.folder.get(file);
    if (!stored && isImported(this.folder.url)) throw this.notStored(file);
    if (stored && isImported(this.folder.url)) return { bytes: stored, isNew: false };
    const { signal, packageUrl, mirrors: others = [], network = {} } = this.options;
    const limited = stored ? AbortSignal.any([signal, AbortSignal.timeout(MANIFEST_TIMEOUT_MS)]) : signal;
    const attempts = stored ? { attempts: this.mirrors.count } : {};
    const mirrors = new Mirrors([packageUrl, ...others], retryPolicy({ ...network, ...attempts }));
    try {
      return { bytes: (await download(mirrors, file, { signal: limited, cache: "no-cache" })).bytes, isNew: true };
    } catch (thrown) {
      signal.throwIfAborted();
      if (!stored || isRefusal(thrown)) throw thrown;
      return { bytes: stored, isNew: false };
    }
  }

  private notStored(file: string): OcelliError {
    const path = this.folder.url + file;
    const reason = "this imported model is not stored, or only a part of it";
    return ocelliError("io", `${path}: ${reason}`, { path, reason, status: null });
  }

  /** Checked before the first weights are downloaded: a package that does not fit is not stored at all. */
  private async checkQuota(files: readonly FileEntry[]): Promise<void> {
    let wanted = 0;
    for (const { file, sha256, bytes } of files) wanted += (await this.folder.has(file, sha256)) ? 0 : bytes;
    const free = wanted > 0 ? await freeBytes() : null;
    if (free !== null && wanted > free) this.folder.stopStoring("storage-full", new Shortage(wanted, free));
  }
}

function damaged(file: string, expected: string, actual: string): OcelliError {
  return ocelliError("integrity", `${file}: SHA-256 is ${actual}, the manifest says ${expected}`, { file, expected, actual });
}

/** Too little storage, in bytes. */
class Shortage {
  constructor(
    readonly wanted: number,
    readonly free: number,
  ) {}
}

function fullMessage(shortage: Shortage | null): string {
  if (!shortage) return "There is no room to keep the model";
  return `There is no room to keep the model (${readableBytes(shortage.wanted)}, free are ${readableBytes(shortage.free)})`;
}

/** Returns true if a server answered that there is no such package, false if the network is down. */
function isRefusal(thrown: unknown): boolean {
  return thrown instanceof OcelliError && thrown.detail?.["fault"] === "refused";
}
