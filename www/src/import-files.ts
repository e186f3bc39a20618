/** The files of an import: at an address, or given by the user. */
import { ocelliError, OcelliError } from "./errors.js";
import type { WireSource } from "./model-source.js";
import { RemoteFile, type RemoteFileOptions } from "./net.js";
import type { ImportFile, ImportFiles } from "./wasm/ocelli.js";

/** How much of a file is read at once while it is not known where reading will go on. */
const HEADER_BLOCK_BYTES = 1 << 20;

interface OpenFile extends ImportFile {
  /** What tells this version of the file from another. */
  version: string;
  /** Ends the careful reading. */
  goOn?(): void;
  close?(): void;
}

export class SourceFiles implements ImportFiles {
  private readonly opened = new Map<string, OpenFile>();
  private readonly located = new Map<string, string | Blob>();

  constructor(
    private readonly source: WireSource,
    private readonly options: RemoteFileOptions & { signal: AbortSignal },
    /** Whether an earlier import may have come far: then nothing is read ahead before `goOn`. */
    private isCareful: boolean,
  ) {
    if (source.kind === "gguf") {
      this.located.set(this.text, source.text);
      if (source.mmproj !== null) this.located.set(this.mmproj as string, source.mmproj);
    }
  }

  /** The name of the text model. */
  get text(): string {
    return this.source.kind === "gguf" ? fileName(this.source.text, "model.gguf") : "";
  }

  /** The name of the vision half. */
  get mmproj(): string | undefined {
    if (this.source.kind !== "gguf" || this.source.mmproj === null) return undefined;
    const name = fileName(this.source.mmproj, "mmproj.gguf");
    return name === this.text ? `mmproj/${name}` : name;
  }

  async open(name: string): Promise<ImportFile | null> {
    const at = this.locate(name);
    if (at === null) return null;
    const file = typeof at === "string" ? await this.openRemote(at) : new GivenFile(at, name);
    if (file) this.opened.set(name, file);
    return file;
  }

  /** The versions of all files opened so far, by name. */
  get versions(): Record<string, string> {
    return Object.fromEntries([...this.opened].map(([name, { version }]) => [name, version]));
  }

  /** It is known now where reading goes on: from here it goes forward. */
  goOn(): void {
    this.isCareful = false;
    for (const file of this.opened.values()) file.goOn?.();
  }

  close(): void {
    for (const file of this.opened.values()) file.close?.();
  }

  private locate(name: string): string | Blob | null {
    const { source } = this;
    if (source.kind === "safetensors") return new URL(encodeURIComponent(name), source.folder).href;
    const known = this.located.get(name);
    if (known !== undefined) return known;
    // The other parts of a split file lie beside the first.
    if (typeof source.text !== "string") return null;
    const url = new URL(encodeURIComponent(name), source.text);
    url.search = new URL(source.text).search;
    return url.href;
  }

  private async openRemote(url: string): Promise<OpenFile | null> {
    const careful = { ...this.options, blockBytes: Math.min(HEADER_BLOCK_BYTES, this.options.blockBytes ?? HEADER_BLOCK_BYTES), readAhead: 0 };
    const open = (isCareful: boolean) => RemoteFile.open([url], isCareful ? careful : this.options);
    try {
      return new FileAtAddress(await open(this.isCareful), url, this.isCareful ? () => open(false) : null);
    } catch (thrown) {
      const status = thrown instanceof OcelliError ? thrown.detail?.["status"] : null;
      if (status === 404 || status === 410) return null;
      throw thrown;
    }
  }
}

class FileAtAddress implements OpenFile {
  readonly size: number;
  readonly version: string;
  private isForward = false;

  constructor(
    private remote: RemoteFile,
    private readonly url: string,
    private reopen: (() => Promise<RemoteFile>) | null,
  ) {
    this.size = remote.size;
    this.version = versionOf(remote);
  }

  goOn(): void {
    this.isForward = true;
  }

  async read(start: number, end: number): Promise<Uint8Array> {
    if (this.isForward && this.reopen) {
      const { reopen, remote } = this;
      this.reopen = null;
      this.remote = await reopen();
      remote.close();
      if (versionOf(this.remote) !== this.version) {
        const reason = "the file has changed while it was read";
        throw ocelliError("io", `${this.url}: ${reason}`, { path: this.url, reason, status: null });
      }
    }
    return this.remote.read(start, end);
  }

  close(): void {
    this.remote.close();
  }
}

function versionOf({ size, etag, lastModified }: RemoteFile): string {
  return JSON.stringify([size, etag, lastModified]);
}

class GivenFile implements OpenFile {
  readonly size: number;
  readonly version: string;

  constructor(
    private readonly file: Blob,
    private readonly name: string,
  ) {
    this.size = file.size;
    this.version = JSON.stringify([file.size, file instanceof File ? file.lastModified : null]);
  }

  async read(start: number, end: number): Promise<Uint8Array> {
    try {
      return new Uint8Array(await this.file.slice(start, end).arrayBuffer());
    } catch (cause) {
      const reason = "the file cannot be read any more: it was changed, moved or removed";
      throw ocelliError("io", `${this.name}: ${reason}`, { path: this.name, reason, status: null }, cause);
    }
  }
}

function fileName(file: string | Blob, otherwise: string): string {
  if (typeof file !== "string") return file instanceof File && file.name ? file.name : otherwise;
  return decodeURIComponent(new URL(file).pathname.split("/").at(-1) ?? "") || otherwise;
}
