/** Download of one whole file. */
import { NetworkFault } from "./fault.js";
import type { Mirrors } from "./mirrors.js";
import { fill, type PartialBuffer } from "./partial-buffer.js";
import { request, type Reply, type RequestOptions } from "./reply.js";
import { difference, type Version } from "./version.js";

/** Limit for files of unknown size, such as manifests and pictures; far above any real one. */
const MAX_UNSIZED_BYTES = 256 << 20;

export interface DownloadOptions {
  signal: AbortSignal;
  cache: RequestCache;
  /** The size in the manifest. */
  bytes?: number;
  /** Called with the number of bytes so far. */
  onBytes?: (loaded: number) => void;
  /** Mirrors to skip. */
  except?: ReadonlySet<string>;
}

export interface Downloaded {
  bytes: Uint8Array<ArrayBuffer>;
  /** The mirror that sent the last bytes. */
  from: string;
}

/**
 * Fetches `file` from the first of `mirrors` that delivers it. With `bytes`, an interrupted download continues at the byte it had
 * reached, at another mirror if need be. A longer file is cut there and a shorter one returned as it is: the caller checks the hash.
 * Throws `io` with `{ path, reason, status, fault }`.
 */
export async function download(mirrors: Mirrors, file: string, options: DownloadOptions): Promise<Downloaded> {
  const { signal, cache, bytes: size, onBytes, except } = options;
  const { stallMs, credentials } = mirrors.policy;
  const requestOptions = { signal, cache, stallMs, credentials };
  const sized = size === undefined ? null : new SizedDownload(size, requestOptions, onBytes);
  return mirrors.retry(
    async (attempt) => {
      const url = attempt.url + file;
      try {
        const bytes = sized ? await sized.resume(url, attempt.onBytes) : await readUnsized(await request(url, requestOptions), onBytes);
        return { bytes, from: attempt.url };
      } finally {
        // An HTTP cache may delay a request until an earlier one for the same file ends, even one from a closed page.
        requestOptions.cache = "no-store";
      }
    },
    signal,
    except,
  );
}

/** A download that survives failed attempts. */
class SizedDownload {
  private readonly buffer: PartialBuffer;
  /** Version of the file whose bytes are in the buffer. */
  private version: Version = { size: null, etag: null, lastModified: null };

  constructor(
    bytes: number,
    private readonly options: RequestOptions,
    private readonly onBytes: ((loaded: number) => void) | undefined,
  ) {
    this.buffer = { bytes: new Uint8Array(bytes), offset: 0, filled: 0 };
  }

  async resume(url: string, onAdded: (bytes: number) => void): Promise<Uint8Array<ArrayBuffer>> {
    const { buffer } = this;
    while (buffer.filled < buffer.bytes.length) {
      const reply = await this.request(url);
      if (!reply) break;
      try {
        const added = await fill(reply, buffer, (bytes) => {
          onAdded(bytes);
          this.onBytes?.(buffer.filled);
        });
        const isEnd = reply.isPartial ? reply.version.size === buffer.filled : reply.end !== null;
        if (isEnd || added === 0) break;
      } finally {
        reply.cancel();
      }
    }
    return buffer.filled === buffer.bytes.length ? buffer.bytes : buffer.bytes.slice(0, buffer.filled);
  }

  /** `null` if the file has no more bytes than those already received. */
  private async request(url: string): Promise<Reply | null> {
    const { buffer, options } = this;
    if (buffer.filled === 0) {
      // Without a range, because HTTP caches handle that best.
      const reply = await request(url, options);
      this.version = reply.version;
      return reply;
    }
    const range = { start: buffer.filled, end: buffer.bytes.length };
    const reply = await request(url, { ...options, cache: "no-store", range, etag: this.version.etag }).catch((thrown: unknown) => {
      if (thrown instanceof NetworkFault && thrown.fault === "changed") return null;
      throw thrown;
    });
    if (!reply || difference(this.version, reply.version) === null) return reply;
    buffer.filled = 0;
    this.version = reply.version;
    if (reply.position === 0) return reply;
    reply.cancel();
    throw new NetworkFault("truncated", url, "the file changed while it was downloaded");
  }
}

async function readUnsized(reply: Reply, onBytes: DownloadOptions["onBytes"]): Promise<Uint8Array<ArrayBuffer>> {
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  try {
    for (let piece = await reply.next(); piece; piece = await reply.next()) {
      pieces.push(piece);
      onBytes?.(reply.position);
      if (reply.position > MAX_UNSIZED_BYTES) throw new NetworkFault("refused", reply.url, `more than ${MAX_UNSIZED_BYTES} bytes`);
    }
    if (!reply.isComplete) throw new NetworkFault("truncated", reply.url, `the body ended at byte ${reply.position} of ${reply.end}`);
  } finally {
    reply.cancel();
  }
  return new Uint8Array(await new Blob(pieces).arrayBuffer());
}
