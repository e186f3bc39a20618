/** Measures the speed of an answer. */
import type { Usage } from "../src/index.js";

export class Stopwatch {
  private readonly started = performance.now();
  private firstToken: number | null = null;
  private lastToken = 0;
  private counted: Usage | null = null;

  token(): void {
    this.lastToken = performance.now();
    this.firstToken ??= this.lastToken;
  }

  usage(usage: Usage): void {
    this.counted = usage;
  }

  /** `12 tokens, the first after 0.8 s, then 14.2 a second`. */
  summary(): string {
    if (!this.counted || this.firstToken === null) return "";
    const tokens = this.counted.completion_tokens;
    const wait = ((this.firstToken - this.started) / 1000).toFixed(1);
    const seconds = (this.lastToken - this.firstToken) / 1000;
    const speed = tokens > 1 && seconds > 0 ? `, then ${((tokens - 1) / seconds).toFixed(1)} a second` : "";
    return `${tokens} tokens, the first after ${wait} s${speed}`;
  }
}
