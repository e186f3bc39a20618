/** Checkpoint of an unfinished import: one line of JSON from here, followed by the importer's own checkpoint. */
import type { ImportOptions } from "./model-source.js";

/** Name of the file in the package's folder. */
export const CHECKPOINT = "import-checkpoint";

/** Description of an import, for a page that shows and resumes it. */
export interface ImportDescription {
  /** Addresses as given, or names and sizes of files or folders, which the user must give again. */
  source: { gguf: DescribedFile; mmproj?: DescribedFile } | { safetensors: DescribedFile };
  /** The options of the import, without those of the network. */
  options: ImportOptions;
}

/** An address, or name and size of a file that the user gave. */
export type DescribedFile = string | { file: string; bytes: number };

/** The first line of a stored checkpoint. */
export interface CheckpointHead {
  description: ImportDescription;
  /** Versions of the source's files by name. If one has changed, the checkpoint is invalid. */
  versions: Record<string, string>;
  /** Imported bytes, and all bytes, of the source. */
  loaded: number;
  total: number;
}

export function joinCheckpoint(head: CheckpointHead, checkpoint: Uint8Array): Uint8Array<ArrayBuffer> {
  const line = new TextEncoder().encode(`${JSON.stringify(head)}\n`);
  const bytes = new Uint8Array(line.length + checkpoint.length);
  bytes.set(line);
  bytes.set(checkpoint, line.length);
  return bytes;
}

/** The first line and the importer's checkpoint; `null` for other bytes. */
export function splitCheckpoint(bytes: Uint8Array | null): { head: CheckpointHead; checkpoint: Uint8Array } | null {
  const end = bytes?.indexOf(10) ?? -1;
  if (!bytes || end < 0) return null;
  try {
    const head = JSON.parse(new TextDecoder().decode(bytes.subarray(0, end))) as CheckpointHead;
    return { head, checkpoint: bytes.subarray(end + 1) };
  } catch {
    return null;
  }
}

interface Part {
  file: string;
}

/** The fields of a checkpoint that are read here; see `src/package/resume.rs`. */
interface Checkpoint {
  shards: { file: string; sha256: string }[];
  rest: Part | null;
  open: { waiting: Part[][] } | null;
}

/** The shards and parts that an importer's checkpoint needs. The importer checks everything else. */
export function referencedFiles(checkpoint: Uint8Array): { shards: Checkpoint["shards"]; parts: string[] } {
  const { shards, rest, open } = JSON.parse(new TextDecoder().decode(checkpoint)) as Checkpoint;
  const parts = [...(rest ? [rest] : []), ...(open?.waiting.flat() ?? [])];
  return { shards, parts: parts.map(({ file }) => file) };
}
