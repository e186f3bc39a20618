/**
 * A package's files, from Cache Storage or the network. What comes from either is trusted only once its hash is right;
 * a stored file that is damaged is replaced, and an interrupted download goes on at the first file that is missing.
 */
import { download } from "./download.js";
import { OcelliError, ocelliError } from "./errors.js";
import { HashPool } from "./hash-pool.js";
import type { Sha256 } from "./hash.js";
import { parseFiles, type FileEntry } from "./manifest.js";
import { Mirrors, patience, type NetworkOptions } from "./net-mirrors.js";
import { isImported, PackageFolder, type StorageProblem } from "./package-folder.js";
import { Progress } from "./progress.js";
import type { LoadReport } from "./protocol.js";
import { freeBytes, readableBytes } from "./room.js";

/** How long the network may keep a page waiting that has everything stored. */
const NETWORK_PATIENCE_MS = 8000;

/** Shards under way beside the one that was asked for; with it at most 128 MiB. */
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
  /** Whether a package that cannot be kept is run from memory, with a warning, or refused. Default `prefer`. */
  storage?: "prefer" | "require";
  sha256: Sha256;
  /** Ends everything under way; the store is then of no more use. */
  signal: AbortSignal;
  onReport: (report: LoadReport) => void;
  network?: NetworkOptions;
}

export class PackageStore {
  private shards: FileEntry[] = [];
  /** Shards that are likely to be asked for next. */
  private readonly ahead = new Map<number, Promise<Uint8Array<ArrayBuffer>>>();
  private expected = 0;
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

  /** Throws `storage-unavailable` where storage is required. */
  static async open(options: StoreOptions): Promise<PackageStore> {
    const { packageUrl, mirrors = [], network = {}, storage, onReport } = options;
    const onProblem = (code: StorageProblem, detail: unknown) => {
      const room = detail instanceof Shortage ? detail : null;
      const message = code === "storage-full" ? fullMessage(room) : "This browser window keeps no files";
      const numbers = room && { wanted: room.wanted, free: room.free };
      if (storage === "require") throw ocelliError(code, message, numbers, detail);
      onReport({ kind: "warning", code, message: `${message}: the model will be downloaded again next time.`, detail: numbers });
    };
    const folder = await PackageFolder.open(packageUrl, { onProblem });
    return new PackageStore(folder, new Mirrors([packageUrl, ...mirrors], patience(network)), options);
  }

  /** The manifest, from the network if it answers, so that a new version is seen, else as stored; and the tokenizer. */
  async index(): Promise<PackageIndex> {
    this.options.onReport({ kind: "progress", stage: "manifest", loaded: 0, total: 0, cached: false });
    const { bytes: manifest, isNew } = await this.manifest();
    const { tokenizer, shards } = parseFiles(manifest);
    if (isNew) await this.folder.put("model.json", manifest);
    const files = [tokenizer, ...shards];
    this.shards = shards;
    this.progress.expect(files);
    await this.folder.deleteOthers([["model.json"], ...files.map(({ file, sha256 }) => [file, sha256] as const)]);
    await this.lookForRoom(files);
    return { manifest, tokenizer: await this.file(tokenizer), shards: shards.length };
  }

  /** Shard `index`, verified. A caller that asks in order finds the next ones under way. */
  async shard(index: number): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = this.ahead.get(index) ?? this.begin(index);
    this.ahead.delete(index);
    if (index !== this.expected) this.ahead.clear();
    else {
      for (let next = index + 1; next <= Math.min(index + READ_AHEAD, this.shards.length - 1); next++) {
        if (!this.ahead.has(next)) this.ahead.set(next, this.begin(next));
      }
    }
    this.expected = index + 1;
    return bytes;
  }

  private begin(index: number): Promise<Uint8Array<ArrayBuffer>> {
    const shard = this.shards[index];
    const bytes = shard ? this.file(shard) : Promise.reject(ocelliError("internal", `there is no shard ${index}`));
    // Until somebody asks for it a failure is not unhandled, only early.
    bytes.catch(() => undefined);
    return bytes;
  }

  private async file(entry: FileEntry): Promise<Uint8Array<ArrayBuffer>> {
    const { file, sha256 } = entry;
    const kept = await this.folder.get(file, sha256);
    const stored = kept && (await this.pool.hash(kept));
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

  /** From every mirror once, from a single one twice: a file that is wrong everywhere is wrong at its source. */
  private async fetchFile(entry: FileEntry): Promise<Uint8Array<ArrayBuffer>> {
    const { file, bytes: size, sha256 } = entry;
    const { signal } = this.options;
    const onBytes = (loaded: number) => this.progress.underWay(entry, loaded);
    const wrong = new Set<string>();
    let actual = "";
    for (let attempt = 0; attempt < Math.max(2, this.mirrors.count); attempt++) {
      const except = wrong.size < this.mirrors.count ? wrong : new Set<string>();
      const cache = attempt === 0 ? "default" : "reload";
      const { bytes, from } = await download(this.mirrors, file, { signal, cache, bytes: size, onBytes, except });
      const hashed = await this.pool.hash(bytes);
      if (hashed.sha256 === sha256) {
        await this.folder.put(file, hashed.bytes, sha256);
        return hashed.bytes;
      }
      actual = hashed.sha256;
      wrong.add(from);
      this.mirrors.blame(from);
    }
    throw damaged(file, sha256, actual);
  }

  private async manifest(): Promise<{ bytes: Uint8Array<ArrayBuffer>; isNew: boolean }> {
    const file = "model.json";
    const stored = await this.folder.get(file);
    if (!stored && isImported(this.folder.url)) throw this.notStored(file);
    if (stored && isImported(this.folder.url)) return { bytes: stored, isNew: false };
    const { signal, packageUrl, mirrors: others = [], network = {} } = this.options;
    const patient = stored ? AbortSignal.any([signal, AbortSignal.timeout(NETWORK_PATIENCE_MS)]) : signal;
    const attempts = stored ? { attempts: this.mirrors.count } : {};
    const mirrors = new Mirrors([packageUrl, ...others], patience({ ...network, ...attempts }));
    try {
      return { bytes: (await download(mirrors, file, { signal: patient, cache: "no-cache" })).bytes, isNew: true };
    } catch (thrown) {
      signal.throwIfAborted();
      if (!stored || isRefusal(thrown)) throw thrown;
      return { bytes: stored, isNew: false };
    }
  }

  private notStored(file: string): OcelliError {
    const path = this.folder.url + file;
    const reason = "this imported model is not stored, or not wholly";
    return ocelliError("io", `${path}: ${reason}`, { path, reason, status: null });
  }

  /** Before the first byte of weights: better no file than most of them. */
  private async lookForRoom(files: readonly FileEntry[]): Promise<void> {
    let wanted = 0;
    for (const { file, sha256, bytes } of files) wanted += (await this.folder.has(file, sha256)) ? 0 : bytes;
    const free = wanted > 0 ? await freeBytes() : null;
    if (free !== null && wanted > free) this.folder.stopStoring("storage-full", new Shortage(wanted, free));
  }
}

function damaged(file: string, expected: string, actual: string): OcelliError {
  return ocelliError("integrity", `${file}: SHA-256 is ${actual}, the manifest says ${expected}`, { file, expected, actual });
}

/** In bytes. */
class Shortage {
  constructor(
    readonly wanted: number,
    readonly free: number,
  ) {}
}

function fullMessage(room: Shortage | null): string {
  if (!room) return "There is no room to keep the model";
  return `There is no room to keep the model (${readableBytes(room.wanted)}, free are ${readableBytes(room.free)})`;
}

/** The server is there and says no: an answer, not an outage. */
function isRefusal(thrown: unknown): boolean {
  return thrown instanceof OcelliError && thrown.detail?.["fault"] === "refused";
}
