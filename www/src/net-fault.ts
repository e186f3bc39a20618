/** What can go wrong between here and a server, told apart. */
import { ocelliError, type OcelliError } from "./errors.js";

/** `detail.fault` of an `io` error from the network. */
export type Fault =
  /** No answer at all: no connection, no such host, or an answer that the browser withholds (CORS). */
  | "unreachable"
  /** The server is there and says no. */
  | "refused"
  /** The server asks to come back later, or has a fault of its own. */
  | "busy"
  /** No byte came for `stallMs`. */
  | "stalled"
  /** The body ended before its end. */
  | "truncated"
  /** The whole file was sent where a part of it was asked for, and cannot be used. */
  | "range-ignored"
  /** Another part was sent than was asked for, or more than the size allows. */
  | "wrong-range"
  /** The file is not the one whose beginning was read: another size, ETag or date. */
  | "changed";

/** One request's failure, before it is known whether another one will do. */
export class NetworkFault extends Error {
  constructor(
    readonly fault: Fault,
    readonly url: string,
    message: string,
    readonly more: { status?: number; retryAfterMs?: number; cause?: unknown } = {},
  ) {
    super(message, { cause: more.cause });
  }

  /** Asking this server again would bring the same. */
  get isFinal(): boolean {
    return this.fault === "refused" || this.fault === "range-ignored" || this.fault === "changed";
  }
}

/** An `io` error with `{ path, reason, status, fault }`, and with the other mirrors' reasons where there are any. */
export function networkError(faults: readonly NetworkFault[]): OcelliError {
  const [first] = faults;
  if (!first) return ocelliError("io", "no URL was given", { path: "", reason: "no URL was given", status: null });
  const told = faults.map(({ url, message, more, fault }) => ({ path: url, reason: message, status: more.status ?? null, fault }));
  const detail = told.length > 1 ? { ...told[0], mirrors: told.slice(1) } : { ...told[0] };
  return ocelliError("io", told.map(({ path, reason }) => `${path}: ${reason}`).join("; "), detail, first);
}

/** The fault of a status that is no success. 408, 425 and 429 ask for patience; so does everything that is the server's own fault. */
export function statusFault(url: string, response: Response): NetworkFault {
  const { status } = response;
  const isBusy = status === 408 || status === 425 || status === 429 || status >= 500;
  const retryAfterMs = retryAfter(response.headers.get("retry-after"));
  return new NetworkFault(isBusy ? "busy" : "refused", url, `HTTP ${status}`, { status, ...(retryAfterMs !== null && { retryAfterMs }) });
}

/** In milliseconds from now; the header holds seconds or a date. */
export function retryAfter(header: string | null, now = Date.now()): number | null {
  if (header === null) return null;
  if (/^\s*\d+\s*$/.test(header)) return 1000 * Number(header);
  const date = Date.parse(header);
  return Number.isNaN(date) ? null : Math.max(0, date - now);
}
