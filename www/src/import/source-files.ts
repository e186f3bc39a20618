/** Files that an import reads: remote, or given by the user. */
import { ocelliError, OcelliError } from "../errors.js";
import { RemoteFile, type RemoteFileOptions } from "../net/remote-file.js";
import { decoded } from "../url.js";
import type { ImportFile, ImportFiles } from "../wasm/ocelli_import.js";
import type { WireSource } from "./model-source.js";

/** Bytes per request before read-ahead has started. */
const HEADER_BLOCK_BYTES = 1 << 20;

interface OpenFile extends ImportFile {
  /** Identifies this version of the file. */
  version: string;
  startReadAhead?(): void;
  close?(): void;
}

export class SourceFiles implements ImportFiles {
  private readonly opened = new Map<string, OpenFile>();
  private readonly located = new Map<string, string | Blob>();

  constructor(
    private readonly source: WireSource,
    private readonly options: RemoteFileOptions & { signal: AbortSignal },
    /** True if this import resumes an earlier one: read-ahead then waits until the position is known. */
    private isResuming: boolean,
  ) {
    if (source.kind === "gguf") {
      this.located.set(this.text, source.text);
      if (source.mmproj !== null) this.located.set(this.mmproj as string, source.mmproj);
    }
  }

  /** File name of the text model. */
  get text(): string {
    return this.source.kind === "gguf" ? fileName(this.source.text, "model.gguf") : "";
  }

  /** File name of the vision tower. */
  get mmproj(): string | undefined {
    if (this.source.kind !== "gguf" || this.source.mmproj === null) return undefined;
    const name = fileName(this.source.mmproj, "mmproj.gguf");
    return name === this.text ? `mmproj/${name}` : name;
  }

  async open(name: string): Promise<ImportFile | null> {
    const location = this.locate(name);
    if (location === null) return null;
    const file = typeof location === "string" ? await this.openRemote(location) : new LocalFile(location, name);
    if (file) this.opened.set(name, file);
    return file;
  }

  /** Versions of all files opened so far, by name. */
  get versions(): Record<string, string> {
    return Object.fromEntries([...this.opened].map(([name, { version }]) => [name, version]));
  }

  /** Starts read-ahead, because files are read forward from now on. */
  startReadAhead(): void {
    this.isResuming = false;
    for (const file of this.opened.values()) file.startReadAhead?.();
  }

  close(): void {
    for (const file of this.opened.values()) file.close?.();
  }

  private locate(name: string): string | Blob | null {
    const { source } = this;
    if (source.kind !== "gguf") {
      const { folder } = source;
      return typeof folder === "string"
        ? new URL(name.split("/").map(encodeURIComponent).join("/"), folder).href
        : (folder.files[name] ?? null);
    }
    const known = this.located.get(name);
    if (known !== undefined) return known;
    // The other parts of a split file have the same folder.
    if (typeof source.text !== "string") return null;
    const url = new URL(encodeURIComponent(name), source.text);
    url.search = new URL(source.text).search;
    return url.href;
  }

  private async openRemote(url: string): Promise<OpenFile | null> {
    const blockBytes = Math.min(HEADER_BLOCK_BYTES, this.options.blockBytes ?? HEADER_BLOCK_BYTES);
    const headerOptions = { ...this.options, blockBytes, readAhead: 0 };
    const open = (options: RemoteFileOptions) => RemoteFile.open([url], options);
    try {
      if (!this.isResuming) return new AddressedFile(await open(this.options), url, null);
      return new AddressedFile(await open(headerOptions), url, () => open(this.options));
    } catch (thrown) {
      const status = thrown instanceof OcelliError ? thrown.detail?.["status"] : null;
      if (status === 404 || status === 410) return null;
      throw thrown;
    }
  }
}

class AddressedFile implements OpenFile {
  readonly size: number;
  readonly version: string;
  private readsAhead = false;

  constructor(
    private remote: RemoteFile,
    private readonly url: string,
    /** Opens the file again with read-ahead; `null` if it already has that. */
    private reopen: (() => Promise<RemoteFile>) | null,
  ) {
    this.size = remote.size;
    this.version = versionOf(remote);
  }

  startReadAhead(): void {
    this.readsAhead = true;
  }

  async read(start: number, end: number): Promise<Uint8Array> {
    if (this.readsAhead && this.reopen) {
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

class LocalFile implements OpenFile {
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
  return decoded(new URL(file).pathname.split("/").at(-1) ?? "") || otherwise;
}
