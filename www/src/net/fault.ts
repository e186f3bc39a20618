/** Kinds of network failures, and the typed error that a caller gets after the last attempt. */
import { ocelliError, type OcelliError } from "../errors.js";

/** `detail.fault` of an `io` error from the network. */
export type Fault =
  /** No response: no connection, no such host, or a response that the browser withholds (CORS). */
  | "unreachable"
  /** A status that another attempt will not change, such as 404. */
  | "refused"
  /** The server asks for a retry later, or has an error of its own. */
  | "busy"
  /** No byte came for `stallMs`. */
  | "stalled"
  /** The body ended early. */
  | "truncated"
  /** The server sent the whole file instead of a range, and the reader cannot use it. */
  | "range-ignored"
  /** The response has another range than requested, or one that ends after the file. */
  | "wrong-range"
  /** Size, ETag or date differ from those of the file whose beginning was read. */
  | "changed";

/** The failure of one request. `Mirrors` decides whether it is retried. */
export class NetworkFault extends Error {
  constructor(
    readonly fault: Fault,
    readonly url: string,
    message: string,
    readonly more: { status?: number; retryAfterMs?: number; cause?: unknown } = {},
  ) {
    super(message, { cause: more.cause });
  }

  /** True if the same request to the same server would fail again. */
  get isFinal(): boolean {
    return this.fault === "refused" || this.fault === "range-ignored" || this.fault === "changed";
  }
}

/** An `io` error with `{ path, reason, status, fault }`; `mirrors` has the same fields for every further server. */
export function networkError(faults: readonly NetworkFault[]): OcelliError {
  const [first] = faults;
  if (!first) return ocelliError("io", "no URL was given", { path: "", reason: "no URL was given", status: null });
  const details = faults.map(({ url, message, more, fault }) => ({ path: url, reason: message, status: more.status ?? null, fault }));
  const detail = details.length > 1 ? { ...details[0], mirrors: details.slice(1) } : { ...details[0] };
  return ocelliError("io", details.map(({ path, reason }) => `${path}: ${reason}`).join("; "), detail, first);
}

/** The fault of an HTTP status other than success. 408, 425, 429 and all server errors are worth another attempt. */
export function statusFault(url: string, response: Response): NetworkFault {
  const { status } = response;
  const isBusy = status === 408 || status === 425 || status === 429 || status >= 500;
  const retryAfterMs = retryAfter(response.headers.get("retry-after"));
  return new NetworkFault(isBusy ? "busy" : "refused", url, `HTTP ${status}`, { status, ...(retryAfterMs !== null && { retryAfterMs }) });
}

/** Milliseconds from now. The header holds seconds or a date. */
function retryAfter(header: string | null): number | null {
  if (header === null) return null;
  if (/^\s*\d+\s*$/.test(header)) return 1000 * Number(header);
  const date = Date.parse(header);
  return Number.isNaN(date) ? null : Math.max(0, date - Date.now());
}
