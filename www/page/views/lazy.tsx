/** Views whose script is loaded when they are first shown. */
import type { ComponentChildren, FunctionComponent } from "preact";
import { signal } from "@preact/signals";
import { lateWordsLoaded } from "../words/language.js";
import { loadStyles } from "./dom.js";

/** The view that `load` resolves to. Until then, and if it cannot be loaded, `fallback` is shown. */
export function lazy<Props extends object>(
  load: () => Promise<FunctionComponent<Props>>,
  fallback: (props: Props) => ComponentChildren = () => null,
): FunctionComponent<Props> {
  const loaded = signal<FunctionComponent<Props> | null>(null);
  let isLoading = false;
  const begin = () => {
    if (isLoading) return;
    isLoading = true;
    const keep = (view: FunctionComponent<Props>) => {
      loaded.value = view;
    };
    const retry = () => {
      isLoading = false;
    };
    void Promise.all([load(), lateWordsLoaded()]).then(([view]) => keep(view), retry);
  };
  return (props) => {
    const View = loaded.value;
    if (View) return <View {...props} />;
    begin();
    return <>{fallback(props)}</>;
  };
}

type Looks = typeof import("./looks.js");

/** One of the views in `looks.tsx`. */
export function look<Props extends object>(
  pick: (module: Looks) => FunctionComponent<Props>,
  fallback?: (props: Props) => ComponentChildren,
): FunctionComponent<Props> {
  const load = async () => {
    const [module] = await Promise.all([import("./looks.js"), loadStyles("looks.css")]);
    return pick(module);
  };
  return lazy(load, fallback);
}
