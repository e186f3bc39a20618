/** One request for a file or a range of it, and its response, whose headers are checked before the body is used. */
import { NetworkFault, statusFault } from "./fault.js";
import type { Version } from "./version.js";

export interface RequestOptions {
  signal: AbortSignal;
  cache: RequestCache;
  stallMs: number;
  credentials: RequestCredentials;
  /** Bytes to request; `end` is exclusive. Absent: the whole file, without a Range header. */
  range?: { start: number; end: number };
  /** The ETag that the file must still have. */
  etag?: string | null;
  method?: "HEAD";
}

export class Reply {
  private readonly reader: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>> | undefined;
  private unread: Uint8Array<ArrayBuffer> | null = null;

  constructor(
    readonly url: string,
    response: Response,
    readonly version: Version,
    /** Position in the file of the next byte. */
    public position: number,
    /** Position in the file at which the body should end; `null` if that is not known. */
    readonly end: number | null,
    /** True for the response to a Range request, false for a whole file. */
    readonly isPartial: boolean,
    private readonly timer: StallTimer,
  ) {
    this.reader = response.body?.getReader();
  }

  /** The next piece, or `null` where the body ends, early or not. */
  async next(): Promise<Uint8Array<ArrayBuffer> | null> {
    const { unread } = this;
    if (unread) {
      this.unread = null;
      this.position += unread.length;
      return unread;
    }
    try {
      if (!this.reader) return null;
      const next = await this.timer.watch(this.reader.read());
      if (next.done) return null;
      this.position += next.value.length;
      return next.value;
    } catch (thrown) {
      throw this.timer.toFault(thrown, "truncated");
    }
  }

  /** Makes `next` return the end of the last piece again. */
  putBack(unread: Uint8Array<ArrayBuffer>): void {
    if (unread.length === 0) return;
    this.unread = unread;
    this.position -= unread.length;
  }

  /** True after the end of the body has arrived. */
  get isComplete(): boolean {
    return this.end === null || this.position >= this.end;
  }

  cancel(): void {
    this.timer.abort();
  }
}

/** Throws `NetworkFault`, or `signal.reason` once aborted. */
export async function request(url: string, options: RequestOptions): Promise<Reply> {
  const timer = new StallTimer(url, options);
  let response: Response;
  try {
    const headers = requestHeaders(url, options);
    const { method = "GET", cache, credentials } = options;
    const init = { method, headers, signal: timer.signal, cache, credentials, referrerPolicy: "no-referrer" } as const;
    response = await timer.watch(fetch(url, init));
  } catch (thrown) {
    throw timer.toFault(thrown, "unreachable");
  }
  try {
    return checked(url, response, options, timer);
  } catch (thrown) {
    timer.abort();
    throw thrown;
  }
}

function requestHeaders(url: string, { range, etag }: RequestOptions): Record<string, string> {
  if (!range) return {};
  const headers: Record<string, string> = { range: `bytes=${range.start}-${range.end - 1}` };
  // On another origin the header would need a CORS preflight, which few servers answer; there the ETag of the response is compared.
  const { origin, href } = globalThis.location;
  const isSameOrigin = new URL(url, href).origin === origin;
  if (isSameOrigin && etag?.startsWith('"')) headers["if-range"] = etag;
  return headers;
}

function checked(url: string, response: Response, { range }: RequestOptions, timer: StallTimer): Reply {
  const { status, headers } = response;
  const version = { size: null, etag: headers.get("etag"), lastModified: headers.get("last-modified") };
  const length = bodyLength(headers);
  if (status === 200) return new Reply(url, response, { ...version, size: length }, 0, length, false, timer);
  if (!range || (status !== 206 && status !== 416)) throw statusFault(url, response);

  const sent = parseContentRange(headers.get("content-range"));
  if (status === 416) {
    // An empty file has no valid range.
    if (range.start === 0 && sent?.size === 0) return new Reply(url, new Response(), { ...version, size: 0 }, 0, 0, true, timer);
    throw new NetworkFault("changed", url, `HTTP 416: the file has no byte ${range.start}`, { status });
  }
  const start = sent?.start ?? range.start;
  const end = sent?.end ?? (length === null ? range.end : start + length);
  const isMultipart = headers.get("content-type")?.startsWith("multipart/") ?? false;
  const isMore = end !== null && end > range.end;
  const disagrees = sent !== null && length !== null && sent.end !== null && length !== sent.end - start;
  if (start !== range.start || isMultipart || isMore || disagrees) {
    const got = headers.get("content-range") ?? `${length} bytes`;
    throw new NetworkFault("wrong-range", url, `asked for bytes from ${range.start}, the server sent ${got}`, { status });
  }
  return new Reply(url, response, { ...version, size: sent?.size ?? null }, start, end, true, timer);
}

/** `null` if the length is unknown, or that of a compressed body. */
function bodyLength(headers: Headers): number | null {
  const encoding = headers.get("content-encoding");
  const length = headers.get("content-length");
  return length !== null && (encoding === null || encoding === "identity") ? Number(length) : null;
}

/** The range in a `Content-Range` header; `end` is exclusive. `null` if the header is missing or hidden from this page. */
function parseContentRange(header: string | null): { start: number | null; end: number | null; size: number | null } | null {
  const match = header === null ? null : /^bytes (?:(\d+)-(\d+)|\*)\/(\d+|\*)$/.exec(header.trim());
  if (!match) return null;
  const [, first, last, size] = match;
  return {
    start: first === undefined ? null : Number(first),
    end: last === undefined ? null : Number(last) + 1,
    size: size === undefined || size === "*" ? null : Number(size),
  };
}

/** Aborts a request when the caller does or when no byte comes for too long, and distinguishes the two. */
class StallTimer {
  private readonly controller = new AbortController();
  private stalled = false;
  readonly signal: AbortSignal;

  constructor(
    private readonly url: string,
    private readonly options: RequestOptions,
  ) {
    this.signal = AbortSignal.any([options.signal, this.controller.signal]);
  }

  async watch<T>(step: Promise<T>): Promise<T> {
    const timer = setTimeout(() => {
      this.stalled = true;
      this.controller.abort();
    }, this.options.stallMs);
    try {
      return await step;
    } finally {
      clearTimeout(timer);
    }
  }

  toFault(thrown: unknown, fault: "unreachable" | "truncated"): unknown {
    this.options.signal.throwIfAborted();
    if (this.stalled) return new NetworkFault("stalled", this.url, `no byte for ${this.options.stallMs} ms`);
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    return new NetworkFault(fault, this.url, reason, { cause: thrown });
  }

  abort(): void {
    this.controller.abort();
  }
}
