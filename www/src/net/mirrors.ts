/** Chooses the next server for a file, and the time of the request, until one delivers the file or none is left. */
import { NetworkFault, networkError } from "./fault.js";

/** Credentials of requests, and policy for retries of failed ones. The defaults suit home connections; tests use shorter times. */
export interface NetworkOptions {
  /** Failures in a row, over all mirrors, before giving up. Default 6. */
  attempts?: number;
  /** The first wait, doubled after every failure of the same mirror, with jitter. Default 500. */
  firstDelayMs?: number;
  /** Default 20,000. */
  maxDelayMs?: number;
  /** Longest `Retry-After` in milliseconds that is respected; a mirror that asks for more is skipped. Default 60,000. */
  maxRetryAfterMs?: number;
  /** Milliseconds without a byte after which a connection is closed. Default 30,000. */
  stallMs?: number;
  /** Cookies and other credentials of requests. Default `omit`. */
  credentials?: RequestCredentials;
}

export type RetryPolicy = Required<NetworkOptions>;

/** `options` with the defaults filled in. */
export function retryPolicy(options: NetworkOptions): RetryPolicy {
  const { attempts = 6, firstDelayMs = 500, maxDelayMs = 20_000, maxRetryAfterMs = 60_000, stallMs = 30_000 } = options;
  const { credentials = "omit" } = options;
  return { attempts, firstDelayMs, maxDelayMs, maxRetryAfterMs, stallMs, credentials };
}

/** A failed attempt that received at least this many bytes resets the count of failures. */
const PROGRESS_BYTES = 64 << 10;

interface Mirror {
  url: string;
  /** The last failure. */
  fault: NetworkFault | null;
  /** From its `Retry-After`, on the clock of `performance.now()`; holds for all transfers. */
  notBefore: number;
  /** Number of files from it with a wrong hash. */
  corruptFiles: number;
}

/** Arguments of one attempt. */
export interface Attempt {
  url: string;
  /** Must be called with the number of bytes that a retry need not fetch again. */
  onBytes(added: number): void;
}

/** Mirrors of one file, or of one folder, whose URLs are then folders. */
export class Mirrors {
  private readonly mirrors: Mirror[];
  /** Index of the one that worked last. */
  private preferred = 0;

  constructor(
    urls: readonly string[],
    readonly policy: RetryPolicy,
  ) {
    this.mirrors = urls.map((url) => ({ url, fault: null, notBefore: 0, corruptFiles: 0 }));
  }

  get count(): number {
    return this.mirrors.length;
  }

  /** The URL that delivered last, or the first. */
  get current(): string {
    return this.mirrors[this.preferred]?.url ?? "";
  }

  /** Records that `url` delivered a file with a wrong hash. From now on mirrors with fewer of these are asked first. */
  reportCorrupt(url: string): void {
    const mirror = this.mirrors.find((mirror) => mirror.url === url);
    if (!mirror) return;
    mirror.corruptFiles++;
    const fewest = Math.min(...this.mirrors.map(({ corruptFiles }) => corruptFiles));
    if ((this.mirrors[this.preferred]?.corruptFiles ?? 0) > fewest) {
      this.preferred = this.mirrors.findIndex(({ corruptFiles }) => corruptFiles === fewest);
    }
  }

  /**
   * Runs `act` on one mirror after another, except those in `except`, as often as the policy allows. Only a `NetworkFault` of `act` is
   * retried. Throws `io`.
   */
  async retry<T>(act: (attempt: Attempt) => Promise<T>, signal: AbortSignal, except: ReadonlySet<string> = new Set()): Promise<T> {
    /** Earliest time of the next request to each mirror. */
    const readyAt = new Map(this.mirrors.map((mirror) => [mirror, except.has(mirror.url) ? Infinity : 0]));
    const timesFailed = new Map<Mirror, number>();
    for (let failures = 0; failures < this.policy.attempts; ) {
      const next = this.next(readyAt);
      if (!next) break;
      const { mirror, at } = next;
      await sleep(at - performance.now(), signal);
      let received = 0;
      try {
        const result = await act({ url: mirror.url, onBytes: (added) => (received += added) });
        // A mirror that delivers fast but wrong must not become the preferred one again.
        if (mirror.corruptFiles <= (this.mirrors[this.preferred]?.corruptFiles ?? 0)) this.preferred = this.mirrors.indexOf(mirror);
        return result;
      } catch (thrown) {
        if (!(thrown instanceof NetworkFault)) throw thrown;
        const madeProgress = received >= PROGRESS_BYTES;
        const times = madeProgress ? 1 : (timesFailed.get(mirror) ?? 0) + 1;
        failures = madeProgress ? 0 : failures + 1;
        timesFailed.set(mirror, times);
        readyAt.set(mirror, thrown.isFinal ? Infinity : performance.now() + this.delay(times));
        mirror.fault = thrown;
        mirror.notBefore = Math.max(mirror.notBefore, performance.now() + (thrown.more.retryAfterMs ?? 0));
      }
    }
    throw networkError(this.mirrors.flatMap(({ fault }) => fault ?? []));
  }

  /** The mirror that may be asked soonest; of several, the preferred one or the next after it. */
  private next(readyAt: ReadonlyMap<Mirror, number>): { mirror: Mirror; at: number } | null {
    const now = performance.now();
    let soonest: { mirror: Mirror; at: number } | null = null;
    for (let index = 0; index < this.mirrors.length; index++) {
      const mirror = this.mirrors[(this.preferred + index) % this.mirrors.length] as Mirror;
      const at = Math.max(now, mirror.notBefore, readyAt.get(mirror) ?? 0);
      const isTooLate = at === Infinity || mirror.notBefore > now + this.policy.maxRetryAfterMs;
      if (!isTooLate && (!soonest || at < soonest.at)) soonest = { mirror, at };
    }
    return soonest;
  }

  /** Exponential backoff with jitter between half and all of it, so that pages do not return at the same time. */
  private delay(failures: number): number {
    const whole = Math.min(this.policy.maxDelayMs, this.policy.firstDelayMs * 2 ** (failures - 1));
    return whole * (0.5 + 0.5 * Math.random());
  }
}

/** Throws `signal.reason` once aborted. */
async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  if (ms <= 0) return;
  await new Promise<void>((resolve, reject) => {
    const wake = () => {
      signal.removeEventListener("abort", stop);
      resolve();
    };
    const timer = setTimeout(wake, ms);
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    signal.addEventListener("abort", stop, { once: true });
  });
}
