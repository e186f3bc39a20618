/**
 * A package's files, from Cache Storage or the network. Bytes from either are used only once their hash is verified; a damaged stored
 * file is replaced, and an interrupted download continues with the first file that is missing.
 */
import { errorData, OcelliError, ocelliError } from "../errors.js";
import { download } from "../net/download.js";
import { Mirrors, retryPolicy, type NetworkOptions } from "../net/mirrors.js";
import { HashPool } from "./hash-pool.js";
import type { Sha256 } from "./hash.js";
import { parseFiles, type FileEntry, type PackageFiles } from "./manifest.js";
import { isImported, PackageFolder, type StorageProblem } from "./package-folder.js";
import { Progress } from "./progress.js";
import { freeBytes, readableBytes } from "./quota.js";
import type { LoadReport } from "./report.js";

const MANIFEST = "model.json";

/** Milliseconds that a completely stored package waits for the network. */
const MANIFEST_TIMEOUT_MS = 8000;

/** Shards that are loaded ahead with the requested one; together at most 128 MiB. */
const READ_AHEAD = 3;

export interface PackageIndex {
  manifest: Uint8Array<ArrayBuffer>;
  tokenizer: Uint8Array<ArrayBuffer>;
  shards: number;
}

/** A manifest, its hash, and the files that it lists. */
interface Version extends Omit<PackageFiles, "name"> {
  manifest: Uint8Array<ArrayBuffer>;
  sha256: string;
  /** The tokenizer and the shards. */
  files: FileEntry[];
}

export interface StoreOptions {
  /** The folder of `model.json`, absolute, with a slash at the end. */
  packageUrl: string;
  /** SHA-256 that the manifest must have, in lower-case hexadecimal. A stored manifest that has it needs no network. */
  manifestSha256?: string | null;
  /** Other folders with the files that the manifest lists, in the order of preference. */
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
      const problem = storageError(code, cause);
      if (storage === "require") throw problem;
      const message = `${problem.message}: the model will be downloaded again next time.`;
      onReport({ kind: "warning", code, message, detail: shortage && { wanted: shortage.wanted, free: shortage.free } });
    };
    const folder = await PackageFolder.open(packageUrl, { onProblem });
    return new PackageStore(folder, new Mirrors([packageUrl, ...mirrors], retryPolicy(network)), options);
  }

  /**
   * The manifest and the tokenizer, of the newest version that can be had. A whole stored version is replaced after the new one is whole; if
   * that fails, also for lack of room, the stored one is used, with a warning.
   */
  async index(): Promise<PackageIndex> {
    this.options.onReport({ kind: "progress", stage: "manifest", loaded: 0, total: 0, cached: false });
    const stored = await this.storedVersion();
    const newest = await this.newestVersion(stored);
    const isUpdate = stored !== null && newest !== stored && (await this.missing(stored.files)).length === 0;
    const used = isUpdate ? await this.update(stored, newest) : newest;
    const { manifest, tokenizer, shards, files } = used;
    if (used !== stored) {
      await this.folder.put(MANIFEST, manifest);
      await this.deleteOthers(used);
    }
    this.shards = shards;
    this.progress.expect(files);
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
  private async fetchFile(entry: FileEntry, folder = this.folder): Promise<Uint8Array<ArrayBuffer>> {
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
        await folder.put(file, hashed.bytes, sha256);
        return hashed.bytes;
      }
      actual = hashed.sha256;
      corrupt.add(from);
      this.mirrors.reportCorrupt(from);
    }
    throw damaged(file, sha256, actual);
  }

  /** The stored version; `null` if there is none, or a damaged one of a package that a server has. */
  private async storedVersion(): Promise<Version | null> {
    const manifest = await this.folder.get(MANIFEST);
    const { url } = this.folder;
    if (!isImported(url)) return manifest && this.version(manifest).catch(() => null);
    if (!manifest) throw this.notStored(MANIFEST);
    const version = await this.version(manifest);
    this.requireExpected(version);
    return version;
  }

  /** The version on the server, so that a new one is noticed; `stored` if the server has the same, none that is valid, or is unreachable. */
  private async newestVersion(stored: Version | null): Promise<Version> {
    const usable = stored && this.isExpected(stored) ? stored : null;
    if (usable && (isImported(this.folder.url) || this.options.manifestSha256 != null)) return usable;
    const { signal, packageUrl, network = {} } = this.options;
    const limited = usable ? AbortSignal.any([signal, AbortSignal.timeout(MANIFEST_TIMEOUT_MS)]) : signal;
    // Mirrors have the files whose hashes the manifest lists, not the manifest.
    const server = new Mirrors([packageUrl], retryPolicy({ ...network, ...(usable && { attempts: 1 }) }));
    let manifest: Uint8Array<ArrayBuffer>;
    try {
      manifest = (await download(server, MANIFEST, { signal: limited, cache: "no-cache" })).bytes;
    } catch (thrown) {
      signal.throwIfAborted();
      if (!usable || isGone(thrown)) throw thrown;
      return isRefusal(thrown) ? this.stayWith(usable, thrown) : usable;
    }
    try {
      const newest = await this.version(manifest);
      this.requireExpected(newest);
      if (stored?.sha256 !== newest.sha256) return newest;
      await this.deleteOthers(stored);
      return stored;
    } catch (thrown) {
      return this.stayWith(usable, thrown);
    }
  }

  /** Stores all of `newest`, and returns it or, if that fails, `stored`. */
  private async update(stored: Version, newest: Version): Promise<Version> {
    const queue = await this.missing(newest.files);
    const wanted = queue.reduce((sum, { bytes }) => sum + bytes, 0);
    const free = wanted > 0 ? await freeBytes() : null;
    if (free !== null && wanted > free) {
      const shortage = storageError("storage-full", new Shortage(wanted, free));
      if (this.isExpected(stored)) return this.stayWith(stored, shortage);
      // One that may not be used makes room.
      const kept = new Set(newest.files.map(({ sha256 }) => sha256));
      const freed = stored.files.reduce((sum, { bytes, sha256 }) => sum + (kept.has(sha256) ? 0 : bytes), 0);
      if (wanted > free + freed) throw shortage;
      return newest;
    }
    const onProblem = (code: StorageProblem, cause: unknown) => {
      throw storageError(code, cause);
    };
    const staging = await PackageFolder.open(this.folder.url, { onProblem });
    this.progress.expect(newest.files);
    for (const entry of newest.files) if (!queue.includes(entry)) this.progress.done(entry, true);
    let failure: unknown = null;
    const work = async () => {
      for (let entry = queue.shift(); entry; entry = queue.shift()) {
        await this.fetchFile(entry, staging);
        this.progress.done(entry, false);
      }
    };
    const end = (thrown: unknown) => {
      failure ??= thrown;
      queue.length = 0;
    };
    await Promise.all(Array.from({ length: 1 + READ_AHEAD }, () => work().catch(end)));
    if (failure === null) return newest;
    // An interrupted update resumes; one without room would only take room.
    if (failure instanceof OcelliError && failure.code === "storage-full") await this.deleteOthers(stored);
    return this.stayWith(stored, failure);
  }

  /** Returns `stored` with a warning that it was not replaced because of `reason`. Throws `reason` if `stored` cannot be used. */
  private stayWith(stored: Version | null, reason: unknown): Version {
    this.options.signal.throwIfAborted();
    if (!stored || !this.isExpected(stored)) throw reason;
    const message = `The stored version of the model is used, because the newest could not be loaded: ${errorData(reason).message}`;
    this.options.onReport({ kind: "warning", code: "update-failed", message, detail: null });
    return stored;
  }

  private async version(manifest: Uint8Array<ArrayBuffer>): Promise<Version> {
    const { tokenizer, shards } = parseFiles(manifest);
    return { manifest, sha256: await this.options.sha256(manifest), tokenizer, shards, files: [tokenizer, ...shards] };
  }

  private isExpected({ sha256 }: Version): boolean {
    return (this.options.manifestSha256 ?? sha256) === sha256;
  }

  private requireExpected(version: Version): void {
    if (this.isExpected(version)) return;
    const detail = { file: MANIFEST, expected: this.options.manifestSha256, actual: version.sha256 };
    throw ocelliError("integrity", `${MANIFEST}: SHA-256 is ${version.sha256}, \`integrity\` says ${detail.expected}`, detail);
  }

  private deleteOthers({ files }: Version): Promise<void> {
    return this.folder.deleteOthers([[MANIFEST], ...files.map(({ file, sha256 }) => [file, sha256] as const)]);
  }

  /** The files that are not stored. */
  private async missing(files: readonly FileEntry[]): Promise<FileEntry[]> {
    const isStored = await Promise.all(files.map(({ file, sha256 }) => this.folder.has(file, sha256)));
    return files.filter((_, index) => !isStored[index]);
  }

  private notStored(file: string): OcelliError {
    const path = this.folder.url + file;
    const reason = "this imported model is not stored, or only a part of it";
    return ocelliError("io", `${path}: ${reason}`, { path, reason, status: null });
  }

  /** Checked before the first weights are downloaded: a package that does not fit is not stored at all. */
  private async checkQuota(files: readonly FileEntry[]): Promise<void> {
    const wanted = (await this.missing(files)).reduce((sum, { bytes }) => sum + bytes, 0);
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

/** `cause`: a `Shortage`, or the failure of a write. */
function storageError(code: StorageProblem, cause: unknown): OcelliError {
  if (code === "storage-unavailable") return ocelliError(code, "This browser window keeps no files", null, cause);
  if (!(cause instanceof Shortage)) return ocelliError(code, "There is no room to keep the model", null, cause);
  const { wanted, free } = cause;
  const message = `There is no room to keep the model (${readableBytes(wanted)}, free are ${readableBytes(free)})`;
  return ocelliError(code, message, { wanted, free }, cause);
}

/** Returns true if a server answered that there is no such package. */
function isGone(thrown: unknown): boolean {
  const status = thrown instanceof OcelliError && thrown.detail?.["status"];
  return status === 404 || status === 410;
}

/** Returns true if a server refused the request, false if the network is down. */
function isRefusal(thrown: unknown): boolean {
  return thrown instanceof OcelliError && thrown.detail?.["fault"] === "refused";
}
