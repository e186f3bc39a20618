/** The loop of a loaded engine: its scheduler computes requests, and calls that need the engine alone run between two steps. */
import type { OcelliEngine, OcelliQueue } from "../wasm/ocelli.js";

/** Alternates requests and calls that need the engine alone. The calls run in order of arrival. */
export class EngineLoop {
  private engine: OcelliEngine | null = null;
  private queue: OcelliQueue | null = null;
  private running: Promise<void> | null = null;
  /** True if the engine was woken while it ran, perhaps too late for it to notice. */
  private isWoken = false;
  /** Calls that run alone, or wait to. */
  private calls = 0;
  private last: Promise<unknown> = Promise.resolve();

  /** Starts with an engine, or stops with `null`. */
  use(engine: OcelliEngine | null): void {
    this.queue?.free();
    this.engine = engine;
    this.queue = engine?.queue() ?? null;
  }

  get requests(): OcelliQueue | null {
    return this.queue;
  }

  /** Computes requests. Must be called when one arrives, is cancelled, or can continue. */
  wake(): void {
    this.isWoken = true;
    if (this.running || this.calls > 0 || !this.engine) return;
    this.isWoken = false;
    // A conversation that cannot be written is only computed again at the next visit.
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
