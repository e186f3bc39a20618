/** One file over the network: bytes as they arrive, a typed error when they do not. */
import { isAbort, ocelliError } from "./errors.js";

/** For manifests and pictures, whose size nobody has promised; far above any real one. */
const MAX_UNSIZED_BYTES = 256 << 20;

export interface DownloadOptions {
  signal: AbortSignal;
  cache: RequestCache;
  /** The size that was promised. */
  bytes?: number;
  /** Bytes so far. */
  onBytes?: (loaded: number) => void;
}

/**
 * The body at `url`. A body longer than `bytes` ends early: its hash will not match, which is the caller's to find.
 * Throws `io` with `{ path, reason, status }`.
 */
export async function download(url: string, options: DownloadOptions): Promise<Uint8Array<ArrayBuffer>> {
  try {
    const response = await fetch(url, { signal: options.signal, cache: options.cache });
    if (!response.ok) throw failed(url, `HTTP ${response.status}`, response.status);
    return await readBody(response, options);
  } catch (thrown) {
    if (isAbort(thrown) || options.signal.aborted) throw thrown;
    if (thrown instanceof TypeError) throw failed(url, thrown.message, null, thrown);
    throw thrown;
  }
}

async function readBody(response: Response, options: DownloadOptions): Promise<Uint8Array<ArrayBuffer>> {
  const limit = options.bytes ?? MAX_UNSIZED_BYTES;
  const chunks: Uint8Array[] = [];
  let loaded = 0;
  const reader = response.body?.getReader();
  for (;;) {
    const next = await reader?.read();
    if (!next || next.done) break;
    chunks.push(next.value);
    loaded += next.value.length;
    options.onBytes?.(Math.min(loaded, limit));
    if (loaded > limit) {
      await reader?.cancel();
      break;
    }
  }
  const bytes = new Uint8Array(loaded);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.length;
  }
  return bytes;
}

function failed(path: string, reason: string, status: number | null, cause?: unknown): Error {
  return ocelliError("io", `${path}: ${reason}`, { path, reason, status }, cause);
}
