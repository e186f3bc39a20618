/** One large file over the network, read at random positions by HTTP Range requests. */
import { ocelliError } from "../errors.js";
import { BlockCache } from "./blocks.js";
import { NetworkFault } from "./fault.js";
import { Mirrors, retryPolicy, type NetworkOptions } from "./mirrors.js";
import { fill, type PartialBuffer } from "./partial-buffer.js";
import { request, type Reply } from "./reply.js";
import { difference, isSame, type Version } from "./version.js";

export interface RemoteFileOptions extends NetworkOptions {
  /** Aborts every request; the file cannot be used afterwards. */
  signal?: AbortSignal;
  /** Bytes per request. Default 8 MiB. */
  blockBytes?: number;
  /** Blocks to fetch ahead of a sequential reader. Default 3: browsers open six connections to a host. */
  readAhead?: number;
  /** Called with the size of every piece that arrives from the network. */
  onReceived?: (bytes: number) => void;
}

const BLOCK_BYTES = 8 << 20;
const READ_AHEAD = 3;

/** The most bytes that are skipped of a body that starts at the beginning of the file, on a server without Range. */
const MAX_SKIPPED_BYTES = 64 << 20;

/**
 * Reads blocks, one request each; a sequential reader finds the next blocks already fetched. No byte is fetched twice except after a
 * failure or by a reader that jumps back. A server that ignores Range is read as one stream: forward, and back only within the first
 * 64 MiB.
 *
 * A response is used only if it has the size, ETag and date of the first one; a response of another mirror only if it has the same size
 * and ETag or, if either has no ETag, the same date. Changed bytes are not detected here: that requires a hash.
 */
export class RemoteFile {
  private readonly blocks: BlockCache;
  private readonly closing = new AbortController();
  private readonly signal: AbortSignal;
  /** The last fetch from a server without Range. Such fetches run one after another, because there is one stream. */
  private queue: Promise<unknown> = Promise.resolve();
  /** The mirror that `version` is from. */
  private readonly origin: string;

  private constructor(
    /** In bytes. */
    readonly size: number,
    /** True if the server supports Range requests. */
    readonly ranges: boolean,
    private readonly version: Version,
    private readonly mirrors: Mirrors,
    /** An open body from which the next block may be read. */
    private stream: Reply | null,
    private readonly options: RemoteFileOptions,
  ) {
    const signals = options.signal ? [options.signal, this.closing.signal] : [this.closing.signal];
    this.signal = AbortSignal.any(signals);
    const { blockBytes = BLOCK_BYTES, readAhead = READ_AHEAD } = options;
    const fetch = (start: number, end: number, signal: AbortSignal) => this.fetch(start, end, signal);
    this.blocks = new BlockCache({ size, blockBytes, readAhead: ranges ? readAhead : 0, fetch });
    this.origin = mirrors.current;
  }

  /** The ETag with its quotes. */
  get etag(): string | null {
    return this.version.etag;
  }

  /** The header as it was sent. */
  get lastModified(): string | null {
    return this.version.lastModified;
  }

  /**
   * Requests the first block. `urls` are mirrors of one file, in the order of preference.
   * Throws `io` with `{ path, reason, status, fault }`, as reading does.
   */
  static async open(urls: readonly string[], options: RemoteFileOptions = {}): Promise<RemoteFile> {
    const mirrors = new Mirrors(urls, retryPolicy(options));
    const signal = options.signal ?? new AbortController().signal;
    const range = { start: 0, end: options.blockBytes ?? BLOCK_BYTES };
    const { stallMs, credentials } = mirrors.policy;
    const requestOptions = { signal, cache: "no-store" as const, stallMs, credentials };
    const { reply, size } = await mirrors.retry(async ({ url }) => {
      const reply = await request(url, { ...requestOptions, range });
      // Servers of other origins may hide Content-Range, but not Content-Length.
      const size = reply.version.size ?? (await request(url, { ...requestOptions, method: "HEAD" })).version.size;
      if (size !== null && (reply.end ?? 0) <= size) return { reply, size };
      reply.cancel();
      if (size !== null) throw new NetworkFault("wrong-range", url, `${reply.end} bytes of a file of ${size}`);
      throw new NetworkFault("refused", url, "the server does not let this page see the size of the file");
    }, signal);
    return new RemoteFile(size, reply.isPartial, { ...reply.version, size }, mirrors, reply, options);
  }

  /** The bytes from `start` up to, not including, `end`. Reads may overlap in time. */
  async read(start: number, end: number, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    if (!(start >= 0 && start <= end && end <= this.size)) {
      const reason = `bytes ${start} to ${end} lie outside its ${this.size}`;
      throw ocelliError("io", `${this.origin}: ${reason}`, { path: this.origin, reason, status: null });
    }
    return this.blocks.read(start, end, signal ? AbortSignal.any([signal, this.signal]) : this.signal);
  }

  /** Aborts every request and drops the blocks in memory. */
  close(): void {
    this.closing.abort(ocelliError("aborted", "the file was closed"));
    this.blocks.clear();
    this.stream?.cancel();
  }

  private fetch(start: number, end: number, blockSignal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    const signal = AbortSignal.any([blockSignal, this.signal]);
    if (this.ranges) return this.fetchRange(start, end, signal);
    const fetched = this.queue.then(() => this.fetchRange(start, end, signal));
    this.queue = fetched.catch(() => undefined);
    return fetched;
  }

  private async fetchRange(start: number, end: number, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    const buffer: PartialBuffer = { bytes: new Uint8Array(end - start), offset: start, filled: 0 };
    await this.mirrors.retry(async ({ url, onBytes }) => {
      while (buffer.filled < buffer.bytes.length) {
        const reply = await this.reply(url, buffer, signal);
        const stop = () => reply.cancel();
        signal.addEventListener("abort", stop);
        try {
          const added = await fill(reply, buffer, (bytes) => {
            onBytes(bytes);
            this.options.onReceived?.(bytes);
          });
          if (added === 0) throw new NetworkFault("wrong-range", url, `no byte at ${start + buffer.filled}`);
          if (!this.ranges && reply.position < this.size) this.stream = reply;
        } catch (thrown) {
          signal.throwIfAborted();
          throw thrown;
        } finally {
          signal.removeEventListener("abort", stop);
          if (this.stream !== reply) reply.cancel();
        }
      }
    }, signal);
    return buffer.bytes;
  }

  /** A response that begins at the first missing byte of `buffer`, or so little before it that skipping is cheaper. */
  private async reply(url: string, { bytes, offset, filled }: PartialBuffer, signal: AbortSignal): Promise<Reply> {
    const start = offset + filled;
    const { stream } = this;
    this.stream = null;
    if (stream?.url === url && stream.position <= start && (!this.ranges || stream.position === start)) return stream;
    stream?.cancel();

    const { stallMs, credentials } = this.mirrors.policy;
    const range = { start, end: offset + bytes.length };
    const etag = url === this.origin ? this.etag : null;
    const reply = await request(url, { signal, cache: "no-store", stallMs, credentials, range, etag });
    const fault = this.faultOf(reply, start, this.ranges ? bytes.length : MAX_SKIPPED_BYTES);
    if (!fault) return reply;
    reply.cancel();
    throw fault;
  }

  /** The reason why `reply` cannot be used for bytes from `start` on, or `null`. */
  private faultOf({ url, version, position }: Reply, start: number, maxSkipped: number): NetworkFault | null {
    const reason = difference(this.version, version);
    if (reason !== null) return new NetworkFault("changed", url, `the file has changed: ${reason}`);
    if (url !== this.origin && !isSame(this.version, version)) {
      return new NetworkFault("changed", url, `nothing shows that it is the same file as ${this.origin}`);
    }
    if (start - position <= maxSkipped) return null;
    return new NetworkFault("range-ignored", url, `asked for bytes from ${start}, the server sent the whole file`);
  }
}
