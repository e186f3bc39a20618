/** Where an import puts a package: the folder it will be loaded from, and beside it what it needs to go on later. */
import { ocelliError } from "./errors.js";
import type { Sha256 } from "./hash.js";
import type { ImportDescription } from "./import.js";
import type { SourceFiles } from "./import-files.js";
import { parseFiles } from "./manifest.js";
import type { PackageFolder } from "./package-folder.js";
import { freeBytes } from "./room.js";
import type { ImportSink } from "./wasm/ocelli.js";

const MANIFEST = "model.json";
export const CHECKPOINT = "import-checkpoint";

/** The first line of a stored checkpoint; what follows is the importer's own. */
export interface CheckpointHead {
  /** What is being imported, for people and for going on. */
  description: ImportDescription;
  /** The versions of the source's files. */
  versions: Record<string, string>;
  /** Bytes of the source so far, and in all. */
  loaded: number;
  total: number;
}

export class FolderSink implements ImportSink {
  private manifest: Uint8Array<ArrayBuffer> | null = null;
  private parts = new Set<string>();

  constructor(
    private readonly folder: PackageFolder,
    private readonly files: SourceFiles,
    private readonly sha256: Sha256,
    private readonly head: () => Omit<CheckpointHead, "versions">,
  ) {}

  async put(file: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    // Its presence makes the package.
    if (file === MANIFEST) this.manifest = bytes;
    else await this.keep(file, bytes, await this.sha256(bytes));
  }

  async publish(): Promise<void> {
    if (!this.manifest) throw new Error("published without a manifest");
    await this.keep(MANIFEST, this.manifest);
    const { tokenizer, shards } = parseFiles(this.manifest);
    const files = [tokenizer, ...shards].map(({ file, sha256 }) => [file, sha256] as const);
    await this.folder.deleteOthers([[MANIFEST], ...files]);
  }

  async putPart(part: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    this.parts.add(part);
    await this.keep(part, bytes);
  }

  getPart(part: string): Promise<Uint8Array | null> {
    return this.folder.get(part);
  }

  async putCheckpoint(checkpoint: Uint8Array<ArrayBuffer>, parts: string[]): Promise<void> {
    const head: CheckpointHead = { ...this.head(), versions: this.files.versions };
    const line = new TextEncoder().encode(`${JSON.stringify(head)}\n`);
    const bytes = new Uint8Array(line.length + checkpoint.length);
    bytes.set(line);
    bytes.set(checkpoint, line.length);
    await this.keep(CHECKPOINT, bytes);
    const needed = new Set(parts);
    for (const part of this.parts) if (!needed.has(part)) await this.folder.delete(part);
    this.parts = needed;
  }

  /** The importer has read all headers by now, and goes on from what it is given. */
  async getCheckpoint(): Promise<Uint8Array | null> {
    const checkpoint = await this.usableCheckpoint();
    this.files.goOn();
    return checkpoint;
  }

  private async keep(file: string, bytes: Uint8Array<ArrayBuffer>, sha256?: string): Promise<void> {
    if (await this.folder.put(file, bytes, sha256)) return;
    const free = await freeBytes();
    const message = `${file}: the browser does not store it`;
    throw ocelliError("storage-full", message, { wanted: bytes.length, free: free ?? 0 });
  }

  private async usableCheckpoint(): Promise<Uint8Array | null> {
    const stored = splitCheckpoint(await this.folder.get(CHECKPOINT));
    if (!stored || !sameEntries(stored.head.versions, this.files.versions)) return null;
    const { shards, parts } = named(stored.rest);
    for (const { file, sha256 } of shards) if (!(await this.folder.has(file, sha256))) return null;
    this.parts = new Set(parts);
    return stored.rest;
  }
}

/** A stored checkpoint's first line and the rest; `null` for what is none. */
export function splitCheckpoint(bytes: Uint8Array | null): { head: CheckpointHead; rest: Uint8Array } | null {
  const end = bytes?.indexOf(10) ?? -1;
  if (!bytes || end < 0) return null;
  try {
    return { head: JSON.parse(new TextDecoder().decode(bytes.subarray(0, end))) as CheckpointHead, rest: bytes.subarray(end + 1) };
  } catch {
    return null;
  }
}

/** The shards and parts that a checkpoint of `src/weights/checkpoint.rs` names. The importer checks the rest. */
function named(checkpoint: Uint8Array): { shards: { file: string; sha256: string }[]; parts: string[] } {
  interface Part {
    name: string;
  }
  interface Checkpoint {
    shards: { file: string; sha256: string }[];
    rest: Part | null;
    open: { waiting: Part[][] } | null;
  }
  const { shards, rest, open } = JSON.parse(new TextDecoder().decode(checkpoint)) as Checkpoint;
  const parts = [...(rest ? [rest] : []), ...(open?.waiting.flat() ?? [])];
  return { shards, parts: parts.map(({ name }) => name) };
}

function sameEntries(a: Record<string, string>, b: Record<string, string>): boolean {
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => a[name] === b[name]);
}
