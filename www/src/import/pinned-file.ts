/** A file whose content is known in advance. */
import { ocelliError } from "../errors.js";
import { FileHash, type ImportFile } from "../wasm/ocelli_import.js";
import type { FilePin } from "./model-source.js";

/** A file that is being imported. */
export interface OpenFile extends ImportFile {
  /** Identifies this version of the file. */
  version: string;
  startReadAhead?(): void;
  close?(): void;
}

/** Bytes of a piece that is read for its hash alone. */
const PIECE_BYTES = 1 << 20;

/** The hash of the beginning of a file, as a checkpoint stores it. */
export interface HashState {
  /** Bytes that were hashed. */
  position: number;
  state: number[];
}

/**
 * Hashes a file while it is read forward: each byte once, and those between two reads. The content is used before its hash is known, so
 * nothing that was made from it may be used before {@link verify}.
 */
export class PinnedFile implements OpenFile {
  readonly size: number;
  readonly version: string;
  private hash = new FileHash();
  private position = 0;
  /** Reads are hashed one after another. */
  private queue: Promise<unknown> = Promise.resolve();

  /** Throws `integrity` if the file has another size. */
  constructor(
    private readonly file: OpenFile,
    private readonly name: string,
    private readonly pin: FilePin,
  ) {
    this.size = file.size;
    this.version = file.version;
    if (file.size !== pin.bytes) throw this.fault(`${file.size} bytes`, `${pin.bytes} bytes`);
  }

  startReadAhead(): void {
    this.file.startReadAhead?.();
  }

  close(): void {
    this.file.close?.();
    this.hash.free();
  }

  read(start: number, end: number): Promise<Uint8Array> {
    const read = this.queue.then(async () => {
      if (end > this.position) await this.hashTo(start);
      const bytes = await this.file.read(start, end);
      if (end > this.position) this.add(bytes.subarray(this.position - start));
      return bytes;
    });
    this.queue = read.catch(() => undefined);
    return read;
  }

  /** The hash so far. */
  get state(): HashState {
    return { position: this.position, state: [...this.hash.state()] };
  }

  /** Continues a hash of an earlier page, unless this one is already farther. */
  resume({ position, state }: HashState): void {
    const hash = position > this.position ? FileHash.resumed(Uint8Array.from(state)) : undefined;
    if (!hash) return;
    this.hash.free();
    [this.hash, this.position] = [hash, position];
  }

  /** Reads the rest of the file. Throws `integrity` with `{ file, expected, actual }` if it has another content. */
  async verify(): Promise<void> {
    await this.queue;
    await this.hashTo(this.size);
    const actual = this.hash.hex();
    if (actual !== this.pin.sha256) throw this.fault(actual, this.pin.sha256);
  }

  private async hashTo(end: number): Promise<void> {
    while (this.position < end) {
      this.add(await this.file.read(this.position, Math.min(end, this.position + PIECE_BYTES)));
    }
  }

  private add(bytes: Uint8Array): void {
    this.hash.update(bytes);
    this.position += bytes.length;
  }

  private fault(actual: string, expected: string): Error {
    const message = `${this.name}: this is not the known file: ${actual} instead of ${expected}`;
    return ocelliError("integrity", message, { file: this.name, expected, actual });
  }
}
