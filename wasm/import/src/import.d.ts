// Types of the module for imports; its `ocelli_import.d.ts` begins with this file.

/** A file that an import reads. */
export interface ImportFile {
  readonly size: number;
  read(start: number, end: number): Promise<Uint8Array>;
}

/** Files of an import by name. */
export interface ImportFiles {
  open(name: string): Promise<ImportFile | null>;
}

/** Receives the package of an import, and stores the state for resuming it. */
export interface ImportSink {
  put(file: string, bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  publish(): Promise<void>;
  putPart(part: string, bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  getPart(part: string): Promise<Uint8Array | null>;
  putCheckpoint(checkpoint: Uint8Array<ArrayBuffer>, parts: string[]): Promise<void>;
  getCheckpoint(): Promise<Uint8Array | null>;
}

/** Storage format of a matrix of floats in a package. */
export type MatrixLayout = "q4_64" | "q4_0" | "q8_0" | "f16" | "f32";

/** Options of an import. */
export interface ImportSettings {
  /** The model's name, if not the checkpoint's own. */
  name?: string;
  /** Licence of the weights, if not the checkpoint's own. */
  license?: string;
  /**
   * Layout of matrices that the checkpoint stores as floats. Default: unchanged for a GGUF file, otherwise `q4_0`. `compact` stores
   * the whole text model in 4.25 bits per weight, even if it is already quantised: least memory, some loss of precision.
   */
  layout?: "compact" | MatrixLayout;
  /** Layout of the vision tower, if different. */
  visionLayout?: MatrixLayout;
  /** Bytes of a shard, at most 32 MiB. An interrupted import resumes after the last complete shard. */
  shardBytes?: number;
}

/** Progress of an import: tensors, and bytes of the checkpoint. */
export interface ImportProgress {
  done: number;
  total: number;
  doneBytes: number;
  totalBytes: number;
}
