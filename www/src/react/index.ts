/** Models in React: `useEngine(model)` loads one for all components, `useAnswer(engine)` streams an answer into a component. */
import { useEffect, useSyncExternalStore } from "react";
import type { LoadOptions, LoadReport, ModelSource } from "../index.js";
import { IDLE, LOADING, sharedFor, type LoadState } from "./shared.js";

export { useAnswer, type Answer, type AnswerState } from "./answer.js";

/** Options of {@link useEngine}. */
export interface UseEngineOptions extends LoadOptions {
  /** `false`: nothing is downloaded until `load()` is called, for example after the user agreed to the download. Default `true`. */
  enabled?: boolean;
}

/** State of a model, and functions that change it for all components that use the model. */
export type EngineState = LoadState & {
  /** Begins to load, also after a failure or a cancellation. */
  load(): void;
  /** Cancels the load in progress; files that arrived stay stored. */
  cancel(): void;
};

/** Progress of a load. */
export type EngineProgress = Extract<LoadReport, { kind: "progress" }>;

/**
 * The engine of a model, from the first component that uses it until some seconds after the last. `options` are those of the first. A
 * source object is compared by identity, so keep it outside of the component. On a server the state is `loading`, or `idle` if not enabled.
 */
export function useEngine(model: ModelSource, { enabled = true, ...options }: UseEngineOptions = {}): EngineState {
  const shared = sharedFor(model, options);
  const first = enabled ? LOADING : IDLE;
  const state = useSyncExternalStore(shared.subscribe, shared.now, () => first);
  useEffect(() => {
    if (enabled) shared.begin();
  }, [shared, enabled]);
  // The effect that begins the load runs after the first rendering.
  return { ...(state === IDLE ? first : state), load: shared.load, cancel: shared.cancel };
}
