/** Models that several components share. */
import { Engine, type LoadOptions, type LoadReport, type ModelSource } from "../index.js";

/** State of loading. `idle`: not begun, or cancelled. */
export type LoadState =
  | { status: "idle"; engine: null; progress: null; error: null }
  | { status: "loading"; engine: null; progress: Extract<LoadReport, { kind: "progress" }> | null; error: null }
  | { status: "ready"; engine: Engine; progress: null; error: null }
  | { status: "failed"; engine: null; progress: null; error: unknown };

/** Milliseconds that an unused model stays loaded: routes change, and StrictMode mounts twice. */
const LINGER = 10_000;
/** State before the first load. */
export const IDLE: LoadState = { status: "idle", engine: null, progress: null, error: null };
const CANCELLED: LoadState = { ...IDLE };
export const LOADING: LoadState = { status: "loading", engine: null, progress: null, error: null };

/** A model and the components that use it. */
class Shared {
  private state: LoadState = IDLE;
  private readonly listeners = new Set<() => void>();
  private abort = new AbortController();
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly model: ModelSource,
    private readonly options: LoadOptions,
  ) {}

  readonly now = (): LoadState => this.state;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    clearTimeout(this.timer);
    return () => {
      this.listeners.delete(listener);
      if (this.listeners.size === 0) this.timer = setTimeout(() => this.release(), LINGER);
    };
  };

  readonly load = (): void => {
    if (this.state.status !== "loading" && this.state.status !== "ready") void this.loadNow();
  };

  readonly cancel = (): void => {
    if (this.state.status === "loading") this.reset(CANCELLED);
  };

  /** Loads for a component that mounts: not against a cancellation by the user, but again after a failure. */
  begin(): void {
    if (this.state !== CANCELLED) this.load();
  }

  private async loadNow(): Promise<void> {
    const { signal } = this.abort;
    this.set(LOADING);
    const onProgress = (report: LoadReport) => {
      this.options.onProgress?.(report);
      if (report.kind === "progress" && !signal.aborted) this.set({ status: "loading", engine: null, progress: report, error: null });
    };
    try {
      const engine = await Engine.load(this.model, { ...this.options, signal, onProgress });
      if (signal.aborted) return engine.unload();
      this.set({ status: "ready", engine, progress: null, error: null });
      const error = await engine.closed;
      if (this.state.engine === engine) this.set({ status: "failed", engine: null, progress: null, error });
    } catch (error) {
      if (!signal.aborted) this.set({ status: "failed", engine: null, progress: null, error });
    }
  }

  private release(): void {
    const { engine } = this.state;
    this.reset(IDLE);
    engine?.unload();
  }

  private reset(state: LoadState): void {
    this.abort.abort();
    this.abort = new AbortController();
    this.set(state);
  }

  private set(state: LoadState): void {
    this.state = state;
    for (const listener of this.listeners) listener();
  }
}

const shared = new Map<unknown, Shared>();

/** The entry of a model; addresses are compared by their text. */
export function sharedFor(model: ModelSource, options: LoadOptions): Shared {
  const key = model instanceof URL ? model.href : model;
  const known = shared.get(key) ?? new Shared(model, options);
  shared.set(key, known);
  return known;
}
