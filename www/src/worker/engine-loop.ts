/** The loop of a loaded engine: its scheduler computes requests, and other calls run alone between two steps. */
import type { OcelliEngine, OcelliQueue } from "../wasm/ocelli.js";

/** Calls that need the engine for themselves, in the order in which they come. */
export class EngineLoop {
  private engine: OcelliEngine | null = null;
  private queue: OcelliQueue | null = null;
  private running: Promise<void> | null = null;
  /** Set where the engine was woken while it ran, perhaps too late for it to notice. */
  private isWoken = false;
  /** Calls that run alone, or wait for that. */
  private calls = 0;
  private last: Promise<unknown> = Promise.resolve();

  /** Starts with an engine, or stops with `null`. */
  use(engine: OcelliEngine | null): void {
    this.queue?.free();
    this.engine = engine;
    this.queue = engine?.queue() ?? null;
  }

  /** The queue of the engine's requests. */
  get requests(): OcelliQueue | null {
    return this.queue;
  }

  /** Computes requests: one has arrived, was cancelled, or can continue. */
  wake(): void {
    this.isWoken = true;
    if (this.running || this.calls > 0 || !this.engine) return;
    this.isWoken = false;
    // What cannot be written to files costs nothing but time at the next visit.
    const warn = (thrown: unknown) => console.warn("a conversation was not kept", thrown);
    this.running = this.engine
      .run()
      .catch(warn)
      .then(() => this.stopped());
  }

  /** Runs `act` while no request is computed. */
  alone<T>(act: () => Promise<T>): Promise<T> {
    this.calls++;
    this.queue?.pause(true);
    const result = this.last.then(() => this.running).then(act);
    this.last = result.then(
      () => this.ended(),
      () => this.ended(),
    );
    return result;
  }

  private stopped(): void {
    this.running = null;
    if (this.isWoken) this.wake();
  }

  private ended(): void {
    if (--this.calls > 0) return;
    this.queue?.pause(false);
    this.wake();
  }
}
