/** Writes an imported package into its folder, and beside it the checkpoints from which an interrupted import resumes. */
import { OcelliError, ocelliError } from "../errors.js";
import type { Sha256 } from "../store/hash.js";
import { parseFiles } from "../store/manifest.js";
import type { PackageFolder } from "../store/package-folder.js";
import { freeBytes } from "../store/quota.js";
import type { ImportSink } from "../wasm/ocelli_import.js";
import { CHECKPOINT, joinCheckpoint, referencedFiles, splitCheckpoint, type CheckpointHead } from "./checkpoint.js";
import type { SourceFiles } from "./source-files.js";

const MANIFEST = "model.json";

export class FolderSink implements ImportSink {
  private manifest: Uint8Array<ArrayBuffer> | null = null;
  private parts = new Set<string>();

  constructor(
    private readonly folder: PackageFolder,
    private readonly files: SourceFiles,
    private readonly sha256: Sha256,
    private readonly head: () => Omit<CheckpointHead, "versions" | "hashes">,
  ) {}

  async put(file: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    // The manifest is stored last: a folder that has one is a complete package.
    if (file === MANIFEST) this.manifest = bytes;
    else await this.store(file, bytes, await this.sha256(bytes));
  }

  async publish(): Promise<void> {
    if (!this.manifest) throw new Error("published without a manifest");
    await this.verify();
    await this.store(MANIFEST, this.manifest);
    const { tokenizer, shards } = parseFiles(this.manifest);
    const files = [tokenizer, ...shards].map(({ file, sha256 }) => [file, sha256] as const);
    await this.folder.deleteOthers([[MANIFEST], ...files]);
  }

  async putPart(part: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    this.parts.add(part);
    await this.store(part, bytes);
  }

  getPart(part: string): Promise<Uint8Array | null> {
    return this.folder.get(part);
  }

  async putCheckpoint(checkpoint: Uint8Array<ArrayBuffer>, parts: string[]): Promise<void> {
    const { versions, hashes } = this.files;
    await this.store(CHECKPOINT, joinCheckpoint({ ...this.head(), versions, hashes }, checkpoint));
    const needed = new Set(parts);
    for (const part of this.parts) if (!needed.has(part)) await this.folder.delete(part);
    this.parts = needed;
  }

  /** Called when all headers have been read; from then on the importer reads forward. */
  async getCheckpoint(): Promise<Uint8Array | null> {
    const checkpoint = await this.usableCheckpoint();
    this.files.startReadAhead();
    return checkpoint;
  }

  /** Nothing is left of a package whose files are not the known ones. */
  private async verify(): Promise<void> {
    try {
      await this.files.verify();
    } catch (thrown) {
      if (thrown instanceof OcelliError && thrown.code === "integrity") await this.folder.deleteOthers([]);
      throw thrown;
    }
  }

  private async store(file: string, bytes: Uint8Array<ArrayBuffer>, sha256?: string): Promise<void> {
    if (await this.folder.put(file, bytes, sha256)) return;
    const free = await freeBytes();
    const message = `${file}: the browser does not store it`;
    throw ocelliError("storage-full", message, { wanted: bytes.length, free: free ?? 0 });
  }

  private async usableCheckpoint(): Promise<Uint8Array | null> {
    const stored = splitCheckpoint(await this.folder.get(CHECKPOINT));
    if (!stored || !sameEntries(stored.head.versions, this.files.versions)) return null;
    const { shards, parts } = referencedFiles(stored.checkpoint);
    for (const { file, sha256 } of shards) if (!(await this.folder.has(file, sha256))) return null;
    this.parts = new Set(parts);
    this.files.resumeHashes(stored.head.hashes ?? {});
    return stored.checkpoint;
  }
}

function sameEntries(a: Record<string, string>, b: Record<string, string>): boolean {
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => a[name] === b[name]);
}
