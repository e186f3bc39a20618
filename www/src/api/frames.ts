/** Frames of a stream between the worker and the reader. */

interface Waiting<T> {
  value: T;
  read: () => void;
}

/** Queue of values, which the reader takes once and in order. The producer is notified of each value taken, for backpressure. */
export class Frames<T> {
  private readonly waiting: Waiting<T>[] = [];
  /** Set after the last value. */
  private outcome: { failed: boolean; reason: unknown } | null = null;
  /** Wakes the reader. */
  private wake: () => void = () => undefined;

  push(value: T, read: () => void): void {
    this.waiting.push({ value, read });
    this.wake();
  }

  end(): void {
    this.outcome ??= { failed: false, reason: null };
    this.wake();
  }

  fail(reason: unknown): void {
    this.outcome ??= { failed: true, reason };
    this.wake();
  }

  /** The next value; `undefined` after the last. Rejects with the error of the producer. */
  async next(): Promise<T | undefined> {
    for (;;) {
      const first = this.waiting.shift();
      if (first) {
        first.read();
        return first.value;
      }
      if (this.outcome?.failed) throw this.outcome.reason;
      if (this.outcome) return undefined;
      await new Promise<void>((resolve) => (this.wake = resolve));
    }
  }
}
