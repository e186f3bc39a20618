/** The progress of loading a model. */
import { cancelLoading, loading, type Loading as LoadingState } from "../state/engine.js";
import { isDemo } from "../state/model-choice.js";
import { words } from "../words/index.js";

export function Loading() {
  const state = loading.value;
  const { stage, loaded, total } = state?.progress ?? { stage: "manifest", loaded: 0, total: 0 };
  const hasBytes = stage === "import" || stage === "weights";
  return (
    <section class="load" id="load" aria-labelledby="load-text" hidden={!state}>
      <p id="load-text">{state && textOf(state)}</p>
      {hasBytes ? (
        <progress id="load-bar" aria-labelledby="load-text" max={total || 1} value={loaded} />
      ) : (
        <progress id="load-bar" aria-labelledby="load-text" />
      )}
      <button type="button" id="load-cancel" hidden={!state || isDemo(state.choice)} onClick={cancelLoading}>
        {words.loading.cancel}
      </button>
    </section>
  );
}

function textOf({ progress, rate, kernels }: LoadingState): string {
  const compiled = kernels && kernels.loaded < kernels.total ? words.loading.kernels(kernels.loaded, kernels.total) : "";
  return lineOf(progress, rate) + compiled;
}

function lineOf(progress: LoadingState["progress"], rate: number | null): string {
  const { loading } = words;
  if (!progress) return loading.starting;
  const { stage, loaded, total, cached } = progress;
  switch (stage) {
    case "manifest":
      return loading.manifest;
    case "import":
      return loading.bytes(loading.import, loaded, total, rate);
    case "weights":
      return loading.bytes(cached ? loading.stored : loading.downloading, loaded, total, rate);
    case "kernels":
    case "prepare":
      return loading.preparing;
    case "ready":
      return loading.ready;
  }
}
