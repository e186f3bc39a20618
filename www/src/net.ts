/** One big file over the network, read by HTTP Range as if it lay on a disk. */
import { ocelliError } from "./errors.js";
import { BlockCache } from "./net-blocks.js";
import { NetworkFault } from "./net-fault.js";
import { Mirrors, patience, type NetworkOptions } from "./net-mirrors.js";
import { difference, isSame, pour, type Vessel } from "./net-pour.js";
import { request, type Reply, type Version } from "./net-reply.js";

export interface RemoteFileOptions extends NetworkOptions {
  /** Ends everything under way; the file is then of no more use. */
  signal?: AbortSignal;
  /** What one request asks for. Default 8 MiB. */
  blockBytes?: number;
  /** Blocks that may be under way or waiting ahead of a reader that goes forward. Default 3: browsers open six connections. */
  readAhead?: number;
  /** Called with the number of bytes that each piece from the network brought. */
  onReceived?: (bytes: number) => void;
}

const BLOCK_BYTES = 8 << 20;
const READ_AHEAD = 3;

/** How far into a body that begins at the file's beginning a reader will go to find its place. */
const MAX_SKIPPED_BYTES = 64 << 20;

/**
 * Bytes come in blocks, each by a request of its own; a reader that goes forward finds the next ones there already.
 * No byte is fetched twice but after a failure, or by a reader that jumps back. A server that ignores Range is read as
 * one stream: forward it goes, back only within the first 64 MiB.
 *
 * A server is believed only as long as it shows the same size, ETag and date as at first; another mirror only if it
 * shows the same size and ETag, or, where one of the two shows no ETag, the same date. Nothing here can tell a byte
 * that was changed on its way: that is for hashes.
 */
export class RemoteFile {
  private readonly blocks: BlockCache;
  private readonly end = new AbortController();
  private readonly signal: AbortSignal;
  /** Fills wait for one another where there is but one stream. */
  private queue: Promise<unknown> = Promise.resolve();

  private constructor(
    /** In bytes. */
    readonly size: number,
    /** Whether the server answers Range requests. */
    readonly ranges: boolean,
    private readonly version: Version,
    private readonly mirrors: Mirrors,
    /** A body under way that the next block may begin in. */
    private stream: Reply | null,
    private readonly options: RemoteFileOptions,
  ) {
    const lives = options.signal ? [options.signal, this.end.signal] : [this.end.signal];
    this.signal = AbortSignal.any(lives);
    const { blockBytes = BLOCK_BYTES, readAhead = READ_AHEAD } = options;
    const fetch = (start: number, end: number, signal: AbortSignal) => this.fetch(start, end, signal);
    this.blocks = new BlockCache({ size, blockBytes, readAhead: ranges ? readAhead : 0, fetch });
    this.origin = mirrors.current;
  }

  /** The mirror that `version` is of. */
  private readonly origin: string;

  /** As the server said it, quotes and all. */
  get etag(): string | null {
    return this.version.etag;
  }

  /** As the server said it. */
  get lastModified(): string | null {
    return this.version.lastModified;
  }

  /**
   * Asks for the file's first block. `urls` are mirrors of one file, in the order of preference.
   * Throws `io` with `{ path, reason, status, fault }`, as reading does.
   */
  static async open(urls: readonly string[], options: RemoteFileOptions = {}): Promise<RemoteFile> {
    const mirrors = new Mirrors(urls, patience(options));
    const signal = options.signal ?? new AbortController().signal;
    const range = { start: 0, end: options.blockBytes ?? BLOCK_BYTES };
    const asked = { signal, cache: "no-store" as const, stallMs: mirrors.patience.stallMs };
    const { reply, size } = await mirrors.deliver(async ({ url }) => {
      const reply = await request(url, { ...asked, range });
      // Servers of other origins may hide Content-Range, but not Content-Length.
      const size = reply.version.size ?? (await request(url, { ...asked, method: "HEAD" })).version.size;
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

  /** Ends what is under way and forgets what was read ahead. */
  close(): void {
    this.end.abort(ocelliError("aborted", "the file was closed"));
    this.blocks.clear();
    this.stream?.cancel();
  }

  private fetch(start: number, end: number, stop: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    const signal = AbortSignal.any([stop, this.signal]);
    if (this.ranges) return this.fill(start, end, signal);
    const filled = this.queue.then(() => this.fill(start, end, signal));
    this.queue = filled.catch(() => undefined);
    return filled;
  }

  private async fill(start: number, end: number, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    const vessel: Vessel = { bytes: new Uint8Array(end - start), offset: start, filled: 0 };
    await this.mirrors.deliver(async ({ url, gained }) => {
      while (vessel.filled < vessel.bytes.length) {
        const reply = await this.reply(url, vessel, signal);
        const stop = () => reply.cancel();
        signal.addEventListener("abort", stop);
        try {
          const bytes = await pour(reply, vessel, (bytes) => {
            gained(bytes);
            this.options.onReceived?.(bytes);
          });
          if (bytes === 0) throw new NetworkFault("wrong-range", url, `no byte at ${start + vessel.filled}`);
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
    return vessel.bytes;
  }

  /** A body that begins at the gap in `vessel`, or so little before it that it will do. */
  private async reply(url: string, { bytes, offset, filled }: Vessel, signal: AbortSignal): Promise<Reply> {
    const start = offset + filled;
    const mostSkipped = this.ranges ? bytes.length : MAX_SKIPPED_BYTES;
    const { stream } = this;
    this.stream = null;
    if (stream?.url === url && stream.position <= start && (!this.ranges || stream.position === start)) return stream;
    stream?.cancel();

    const { stallMs } = this.mirrors.patience;
    const range = { start, end: offset + bytes.length };
    const reply = await request(url, { signal, cache: "no-store", stallMs, range, etag: url === this.origin ? this.etag : null });
    const reason = difference(this.version, reply.version);
    const fault =
      reason !== null
        ? new NetworkFault("changed", url, `the file has changed: ${reason}`)
        : url !== this.origin && !isSame(this.version, reply.version)
          ? new NetworkFault("changed", url, `nothing shows that it is the same file as ${this.origin}`)
          : start - reply.position > mostSkipped
            ? new NetworkFault("range-ignored", url, `asked for bytes from ${start}, the server sent the whole file`)
            : null;
    if (!fault) return reply;
    reply.cancel();
    throw fault;
  }
}
