/** One whole file over the network: a typed error when it does not come. */
import { NetworkFault } from "./net-fault.js";
import type { Mirrors } from "./net-mirrors.js";
import { difference, pour, type Vessel } from "./net-pour.js";
import { request, type Reply, type RequestOptions, type Version } from "./net-reply.js";

/** For manifests and pictures, whose size nobody has promised; far above any real one. */
const MAX_UNSIZED_BYTES = 256 << 20;

export interface DownloadOptions {
  signal: AbortSignal;
  cache: RequestCache;
  /** The size that was promised. */
  bytes?: number;
  /** Bytes so far. */
  onBytes?: (loaded: number) => void;
  /** Mirrors that are not to be asked. */
  except?: ReadonlySet<string>;
}

export interface Downloaded {
  bytes: Uint8Array<ArrayBuffer>;
  /** That of `mirrors` that brought the end of it. */
  from: string;
}

/**
 * The file `file` of the first of `mirrors` that delivers it. Where `bytes` is promised, a broken download goes on at the
 * byte it had reached, at another mirror if need be; a file that is longer is cut there, a shorter one returned as it is:
 * its hash will not match, which is the caller's to find.
 * Throws `io` with `{ path, reason, status, fault }`.
 */
export async function download(mirrors: Mirrors, file: string, options: DownloadOptions): Promise<Downloaded> {
  const { signal, cache, bytes: size, onBytes, except } = options;
  const asked = { signal, cache, stallMs: mirrors.patience.stallMs };
  const sized = size === undefined ? null : new SizedDownload(size, asked, onBytes);
  return mirrors.deliver(
    async ({ url, gained }) => {
      const whole = url + file;
      const bytes = sized ? await sized.goOn(whole, gained) : await readUnsized(await request(whole, asked), onBytes);
      return { bytes, from: url };
    },
    signal,
    except,
  );
}

class SizedDownload {
  private readonly vessel: Vessel;
  /** Of what has been received so far. */
  private version: Version = { size: null, etag: null, lastModified: null };

  constructor(
    bytes: number,
    private readonly asked: RequestOptions,
    private readonly onBytes: ((loaded: number) => void) | undefined,
  ) {
    this.vessel = { bytes: new Uint8Array(bytes), offset: 0, filled: 0 };
  }

  async goOn(url: string, gained: (bytes: number) => void): Promise<Uint8Array<ArrayBuffer>> {
    const { vessel } = this;
    while (vessel.filled < vessel.bytes.length) {
      const reply = await this.request(url);
      if (!reply) break;
      try {
        const bytes = await pour(reply, vessel, (bytes) => {
          gained(bytes);
          this.onBytes?.(vessel.filled);
        });
        const isOver = reply.isPartial ? reply.version.size === vessel.filled : reply.end !== null;
        if (isOver || bytes === 0) break;
      } finally {
        reply.cancel();
      }
    }
    return vessel.filled === vessel.bytes.length ? vessel.bytes : vessel.bytes.slice(0, vessel.filled);
  }

  /** `null` if the file has no more bytes than came already. */
  private async request(url: string): Promise<Reply | null> {
    const { vessel, asked } = this;
    if (vessel.filled === 0) {
      // A plain request, which caches understand best.
      const reply = await request(url, asked);
      this.version = reply.version;
      return reply;
    }
    const range = { start: vessel.filled, end: vessel.bytes.length };
    const reply = await request(url, { ...asked, cache: "no-store", range, etag: this.version.etag }).catch((thrown: unknown) => {
      if (thrown instanceof NetworkFault && thrown.fault === "changed") return null;
      throw thrown;
    });
    if (!reply || difference(this.version, reply.version) === null) return reply;
    vessel.filled = 0;
    this.version = reply.version;
    if (reply.position === 0) return reply;
    reply.cancel();
    throw new NetworkFault("truncated", url, "the file changed on its way");
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
    if (!reply.isWhole) throw new NetworkFault("truncated", reply.url, `the body ended at byte ${reply.position} of ${reply.end}`);
  } finally {
    reply.cancel();
  }
  return new Uint8Array(await new Blob(pieces).arrayBuffer());
}
