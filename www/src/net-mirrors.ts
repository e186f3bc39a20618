/** The servers that have a file: which to ask next and when, until one of them delivers or none is left. */
import { NetworkFault, networkError } from "./net-fault.js";

/** How patient the network code is. The defaults are for people's connections; tests are quicker. */
export interface NetworkOptions {
  /** Failures in a row, over all mirrors, before giving up. Default 6. */
  attempts?: number;
  /** The first wait, doubled after every failure of the same mirror, with jitter. Default 500. */
  firstDelayMs?: number;
  /** Default 20,000. */
  maxDelayMs?: number;
  /** The longest `Retry-After` that is waited for. Default 60,000. */
  maxRetryAfterMs?: number;
  /** A connection that brings no byte for so long is given up. Default 30,000. */
  stallMs?: number;
}

export type Patience = Required<NetworkOptions>;

export function patience(options: NetworkOptions): Patience {
  const { attempts = 6, firstDelayMs = 500, maxDelayMs = 20_000, maxRetryAfterMs = 60_000, stallMs = 30_000 } = options;
  return { attempts, firstDelayMs, maxDelayMs, maxRetryAfterMs, stallMs };
}

/** A failure that brought so much was worth its while: the count starts anew. */
const PROGRESS_BYTES = 64 << 10;

interface Mirror {
  url: string;
  /** The last one. */
  fault: NetworkFault | null;
  /** By `Retry-After`, on the clock of `performance.now()`; all transfers keep to it. */
  notBefore: number;
  /** Files that came from it and were not what they should be. */
  wrong: number;
}

/** One attempt's view of its mirror. */
export interface Attempt {
  url: string;
  /** To be called with the bytes that were gained for good. */
  gained(bytes: number): void;
}

/** The servers of one file, or of the files of one folder: then their URLs are the folder's. */
export class Mirrors {
  private readonly mirrors: Mirror[];
  /** The one that worked last. */
  private preferred = 0;

  constructor(
    urls: readonly string[],
    readonly patience: Patience,
  ) {
    this.mirrors = urls.map((url) => ({ url, fault: null, notBefore: 0, wrong: 0 }));
  }

  get count(): number {
    return this.mirrors.length;
  }

  /** The URL that delivered last, or the first. */
  get current(): string {
    return this.mirrors[this.preferred]?.url ?? "";
  }

  /** What `url` delivered turned out to be wrong: those that did so less often come first from now on. */
  blame(url: string): void {
    const mirror = this.mirrors.find((mirror) => mirror.url === url);
    if (!mirror) return;
    mirror.wrong++;
    const least = Math.min(...this.mirrors.map(({ wrong }) => wrong));
    if ((this.mirrors[this.preferred]?.wrong ?? 0) > least) {
      this.preferred = this.mirrors.findIndex(({ wrong }) => wrong === least);
    }
  }

  /**
   * Runs `act` on one mirror after another, but for those in `except`, as often as patience allows. What `act` throws is
   * retried if it is a `NetworkFault`. Throws `io`.
   */
  async deliver<T>(
    act: (attempt: Attempt) => Promise<T>,
    signal: AbortSignal,
    except: ReadonlySet<string> = new Set(),
  ): Promise<T> {
    /** When to ask each one again. */
    const readyAt = new Map(this.mirrors.map((mirror) => [mirror, except.has(mirror.url) ? Infinity : 0]));
    const timesFailed = new Map<Mirror, number>();
    for (let failures = 0; failures < this.patience.attempts; ) {
      const soonest = this.next(readyAt);
      if (!soonest) break;
      const { mirror, at } = soonest;
      await sleep(at - performance.now(), signal);
      let gained = 0;
      try {
        const result = await act({ url: mirror.url, gained: (bytes) => (gained += bytes) });
        // Bytes may come quickly and be wrong.
        if (mirror.wrong <= (this.mirrors[this.preferred]?.wrong ?? 0)) this.preferred = this.mirrors.indexOf(mirror);
        return result;
      } catch (thrown) {
        if (!(thrown instanceof NetworkFault)) throw thrown;
        const isWorthIt = gained >= PROGRESS_BYTES;
        const times = isWorthIt ? 1 : (timesFailed.get(mirror) ?? 0) + 1;
        failures = isWorthIt ? 0 : failures + 1;
        timesFailed.set(mirror, times);
        readyAt.set(mirror, thrown.isFinal ? Infinity : performance.now() + this.delay(times));
        mirror.fault = thrown;
        mirror.notBefore = Math.max(mirror.notBefore, performance.now() + (thrown.more.retryAfterMs ?? 0));
      }
    }
    throw networkError(this.mirrors.flatMap(({ fault }) => fault ?? []));
  }

  /** The mirror that may be asked soonest; of equals the preferred one and those after it. */
  private next(readyAt: ReadonlyMap<Mirror, number>): { mirror: Mirror; at: number } | null {
    const now = performance.now();
    let soonest: { mirror: Mirror; at: number } | null = null;
    for (let index = 0; index < this.mirrors.length; index++) {
      const mirror = this.mirrors[(this.preferred + index) % this.mirrors.length] as Mirror;
      const at = Math.max(now, mirror.notBefore, readyAt.get(mirror) ?? 0);
      const isTooLate = at === Infinity || mirror.notBefore > now + this.patience.maxRetryAfterMs;
      if (!isTooLate && (!soonest || at < soonest.at)) soonest = { mirror, at };
    }
    return soonest;
  }

  /** Between a half and the whole of the exponential delay, so that pages do not return all at once. */
  private delay(failures: number): number {
    const whole = Math.min(this.patience.maxDelayMs, this.patience.firstDelayMs * 2 ** (failures - 1));
    return whole * (0.5 + 0.5 * Math.random());
  }
}

/** Throws what `signal` is aborted with. */
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
