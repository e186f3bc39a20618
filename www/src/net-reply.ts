/** One request for a file or a part of it, and its answer, checked before a byte of it is believed. */
import { NetworkFault, statusFault } from "./net-fault.js";

export interface RequestOptions {
  signal: AbortSignal;
  cache: RequestCache;
  stallMs: number;
  /** Bytes asked for; `end` is not included, `null` is the file's. Absent: the whole file, by a plain request. */
  range?: { start: number; end: number | null };
  /** The ETag that the file must still have. */
  etag?: string | null;
  method?: "HEAD";
}

/** What tells one version of a file from another. Servers of other origins may hide any of it. */
export interface Version {
  size: number | null;
  etag: string | null;
  lastModified: string | null;
}

export class Reply {
  private readonly reader: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>> | undefined;
  private rest: Uint8Array<ArrayBuffer> | null = null;

  constructor(
    readonly url: string,
    response: Response,
    readonly version: Version,
    /** Where in the file the next byte belongs. */
    public position: number,
    /** Where the body ends if it is whole; `null` where that cannot be known. */
    readonly end: number | null,
    /** Whether it is the answer to a Range request, not the whole file. */
    readonly isPartial: boolean,
    private readonly clock: StallClock,
  ) {
    this.reader = response.body?.getReader();
  }

  /** The next piece, or `null` at the end of the body, wherever that is. */
  async next(): Promise<Uint8Array<ArrayBuffer> | null> {
    const { rest } = this;
    if (rest) {
      this.rest = null;
      this.position += rest.length;
      return rest;
    }
    try {
      if (!this.reader) return null;
      const next = await this.clock.watch(this.reader.read());
      if (next.done) return null;
      this.position += next.value.length;
      return next.value;
    } catch (thrown) {
      throw this.clock.explain(thrown, "truncated");
    }
  }

  /** The end of the last piece, to come again. */
  putBack(rest: Uint8Array<ArrayBuffer>): void {
    if (rest.length === 0) return;
    this.rest = rest;
    this.position -= rest.length;
  }

  /** Whether the body came up to its end. */
  get isWhole(): boolean {
    return this.end === null || this.position >= this.end;
  }

  cancel(): void {
    this.clock.stop();
  }
}

/** Throws `NetworkFault`, or what `signal` was aborted with. */
export async function request(url: string, options: RequestOptions): Promise<Reply> {
  const clock = new StallClock(url, options);
  let response: Response;
  try {
    const headers = requestHeaders(url, options);
    const { method = "GET" } = options;
    response = await clock.watch(fetch(url, { method, headers, signal: clock.signal, cache: options.cache }));
  } catch (thrown) {
    throw clock.explain(thrown, "unreachable");
  }
  try {
    return checked(url, response, options, clock);
  } catch (thrown) {
    clock.stop();
    throw thrown;
  }
}

function requestHeaders(url: string, { range, etag }: RequestOptions): Record<string, string> {
  if (!range) return {};
  const headers: Record<string, string> = { range: `bytes=${range.start}-${range.end === null ? "" : range.end - 1}` };
  // Elsewhere the header would cost a CORS preflight that few servers answer; there the answer's own ETag has to do.
  const { origin, href } = globalThis.location;
  const isHere = new URL(url, href).origin === origin;
  if (isHere && etag?.startsWith('"')) headers["if-range"] = etag;
  return headers;
}

function checked(url: string, response: Response, { range }: RequestOptions, clock: StallClock): Reply {
  const { status, headers } = response;
  const version = { size: null, etag: headers.get("etag"), lastModified: headers.get("last-modified") };
  const length = bodyLength(headers);
  if (status === 200) return new Reply(url, response, { ...version, size: length }, 0, length, false, clock);
  if (!range || (status !== 206 && status !== 416)) throw statusFault(url, response);

  const sent = parseContentRange(headers.get("content-range"));
  if (status === 416) {
    // All of an empty file is no part of it.
    if (range.start === 0 && sent?.size === 0) return new Reply(url, new Response(), { ...version, size: 0 }, 0, 0, true, clock);
    throw new NetworkFault("changed", url, `HTTP 416: the file has no byte ${range.start}`, { status });
  }
  const start = sent?.start ?? range.start;
  const end = sent?.end ?? (length === null ? range.end : start + length);
  const isMultipart = headers.get("content-type")?.startsWith("multipart/") ?? false;
  const isMore = range.end !== null && end !== null && end > range.end;
  const disagrees = sent !== null && length !== null && sent.end !== null && length !== sent.end - start;
  if (start !== range.start || isMultipart || isMore || disagrees) {
    const got = headers.get("content-range") ?? `${length} bytes`;
    throw new NetworkFault("wrong-range", url, `asked for bytes from ${range.start}, the server sent ${got}`, { status });
  }
  return new Reply(url, response, { ...version, size: sent?.size ?? null }, start, end, true, clock);
}

/** `null` where the length is unknown or that of a compressed body. */
function bodyLength(headers: Headers): number | null {
  const encoding = headers.get("content-encoding");
  const length = headers.get("content-length");
  return length !== null && (encoding === null || encoding === "identity") ? Number(length) : null;
}

/** `end` is not included. `null` where there is no such header or this page may not see it. */
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

/** Ends a request that the caller gives up, or that brings nothing for too long, and tells the two apart. */
class StallClock {
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

  explain(thrown: unknown, fault: "unreachable" | "truncated"): unknown {
    this.options.signal.throwIfAborted();
    if (this.stalled) return new NetworkFault("stalled", this.url, `no byte for ${this.options.stallMs} ms`);
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    return new NetworkFault(fault, this.url, reason, { cause: thrown });
  }

  stop(): void {
    this.controller.abort();
  }
}
