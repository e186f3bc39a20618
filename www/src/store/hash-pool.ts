/**
 * SHA-256 of large files in helper threads. Chromium computes a digest on the calling thread, which here also reads files and drives
 * the GPU. Firefox uses its own threads; in Firefox a worker that starts another worker sometimes blocks for ever.
 */
import { isChromium } from "./browser.js";
import { hex, type Sha256 } from "./hash.js";

/** Smaller files are hashed faster than transferred. */
const LARGE_BYTES = 1 << 20;
const MAX_HELPERS = 2;
/** Idle time after which a helper is terminated. */
const IDLE_MS = 10_000;

const HELPER = `
  onmessage = async ({ data: bytes }) => {
    const digest = await crypto.subtle.digest("SHA-256", bytes).catch(() => null);
    postMessage({ bytes, digest }, [bytes.buffer]);
  };
  postMessage(null);
`;

let helperUrl: string | undefined;

export interface Hashed {
  bytes: Uint8Array<ArrayBuffer>;
  /** Lower-case hexadecimal. */
  sha256: string;
}

type HelperReply = { bytes: Uint8Array<ArrayBuffer>; digest: ArrayBuffer | null } | null;

interface Job {
  bytes: Uint8Array<ArrayBuffer>;
  resolve: (reply: NonNullable<HelperReply>) => void;
  reject: (reason: unknown) => void;
}

export class HashPool {
  private readonly helpers = new Map<Worker, Job | null>();
  private readonly waiting: Job[] = [];
  private state: "unused" | "started" | "refused" = "unused";
  private idleTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly sha256: Sha256,
    private readonly signal: AbortSignal,
  ) {
    signal.addEventListener("abort", () => this.stop(signal.reason), { once: true });
  }

  /** The hash and the bytes: `bytes` itself may have been transferred to another thread and back. */
  async hash(bytes: Uint8Array<ArrayBuffer>): Promise<Hashed> {
    this.signal.throwIfAborted();
    if (bytes.length >= LARGE_BYTES) this.start();
    const canTransfer = bytes.length >= LARGE_BYTES && bytes.length === bytes.buffer.byteLength;
    if (!canTransfer || this.helpers.size === 0) return { bytes, sha256: await this.sha256(bytes) };
    const { bytes: back, digest } = await new Promise<NonNullable<HelperReply>>((resolve, reject) => {
      this.waiting.push({ bytes, resolve, reject });
      this.assign();
    });
    return { bytes: back, sha256: digest ? hex(new Uint8Array(digest)) : await this.sha256(back) };
  }

  /** A helper is used once it has posted its first message: a content security policy may forbid it to run. */
  private start(): void {
    if (this.state !== "unused" || !isChromium()) return;
    this.state = "started";
    helperUrl ??= URL.createObjectURL(new Blob([HELPER], { type: "text/javascript" }));
    try {
      const count = Math.min(MAX_HELPERS, navigator.hardwareConcurrency || MAX_HELPERS);
      for (let index = 0; index < count; index++) this.startHelper(new Worker(helperUrl));
    } catch {
      this.state = "refused";
    }
  }

  private startHelper(helper: Worker): void {
    helper.onmessage = ({ data }: MessageEvent<HelperReply>) => {
      if (this.state !== "started") return helper.terminate();
      if (data) this.helpers.get(helper)?.resolve(data);
      this.helpers.set(helper, null);
      this.assign();
    };
    helper.onerror = (event) => {
      event.preventDefault();
      this.helpers.get(helper)?.reject(new Error(event.message));
      this.helpers.delete(helper);
      if (this.helpers.size === 0) this.state = "refused";
    };
  }

  private assign(): void {
    clearTimeout(this.idleTimer);
    for (const [helper, current] of this.helpers) {
      if (current) continue;
      const job = this.waiting.shift();
      if (!job) break;
      this.helpers.set(helper, job);
      helper.postMessage(job.bytes, [job.bytes.buffer]);
    }
    const isIdle = [...this.helpers.values()].every((job) => job === null);
    if (isIdle && this.state === "started") this.idleTimer = setTimeout(() => this.stop(null), IDLE_MS);
  }

  private stop(reason: unknown): void {
    clearTimeout(this.idleTimer);
    for (const [helper, job] of this.helpers) {
      helper.terminate();
      job?.reject(reason);
    }
    for (const { reject } of this.waiting.splice(0)) reject(reason);
    this.helpers.clear();
    this.state = "unused";
  }
}
