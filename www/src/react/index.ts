/** A model in React: `useEngine(model)`. All components share one load, however often they mount. */
import { useSyncExternalStore } from "react";
import { Engine, type LoadOptions, type LoadReport, type ModelSource } from "../index.js";
import { Once } from "../once.js";

/** State of loading. */
export type EngineState =
  | { status: "loading"; engine: null; progress: Extract<LoadReport, { kind: "progress" }> | null; error: null }
  | { status: "ready"; engine: Engine; progress: null; error: null }
  | { status: "failed"; engine: null; progress: null; error: unknown };

/** Milliseconds that an unused model stays loaded: routes change, and StrictMode mounts twice. */
const LINGER = 10_000;
const LOADING: EngineState = { status: "loading", engine: null, progress: null, error: null };

/** A model shared by components. */
class Shared {
  private state: EngineState = LOADING;
  private readonly listeners = new Set<() => void>();
  private readonly loaded = new Once(() => this.load());
  private abort = new AbortController();
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly model: ModelSource,
    private readonly options: LoadOptions,
  ) {}

  readonly now = (): EngineState => this.state;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    clearTimeout(this.timer);
    // The error becomes the state.
    this.loaded.get().catch(() => undefined);
    return () => {
      this.listeners.delete(listener);
      if (this.listeners.size === 0) this.timer = setTimeout(() => this.leave(), LINGER);
    };
  };

  private async load(): Promise<void> {
    const { signal } = this.abort;
    this.set(LOADING);
    const onProgress = (report: LoadReport) => {
      this.options.onProgress?.(report);
      if (report.kind === "progress") this.set({ status: "loading", engine: null, progress: report, error: null });
    };
    try {
      const engine = await Engine.load(this.model, { ...this.options, signal, onProgress });
      if (signal.aborted) return engine.unload();
      this.set({ status: "ready", engine, progress: null, error: null });
    } catch (error) {
      if (!signal.aborted) this.set({ status: "failed", engine: null, progress: null, error });
      throw error;
    }
  }

  private leave(): void {
    this.abort.abort();
    this.abort = new AbortController();
    this.loaded.forget();
    this.state.engine?.unload();
    this.state = LOADING;
  }

  private set(state: EngineState): void {
    this.state = state;
    for (const listener of this.listeners) listener();
  }
}

const shared = new Map<unknown, Shared>();

function sharedFor(model: ModelSource, options: LoadOptions): Shared {
  const key = model instanceof URL ? model.href : model;
  const known = shared.get(key) ?? new Shared(model, options);
  shared.set(key, known);
  return known;
}

/**
 * The engine of a model, from the first component that uses it until some seconds after the last. `options` are those of the first. A
 * source object is compared by identity, so keep it outside of the component. On a server the state is `loading`.
 */
export function useEngine(model: ModelSource, options: LoadOptions = {}): EngineState {
  const { subscribe, now } = sharedFor(model, options);
  return useSyncExternalStore(subscribe, now, () => LOADING);
}
