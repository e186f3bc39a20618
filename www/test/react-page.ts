/** A React page for `subpaths.test.ts`: three components of one model, each mounted twice by StrictMode. */
import { createElement as h, Fragment, StrictMode, useState } from "react";
import { createRoot } from "react-dom/client";
import { useEngine } from "../src/react/index.js";

const MODEL = "/models/demo/";

/** States that components have rendered. */
export const seen = { engines: new Set<unknown>(), states: [] as string[] };

function Part({ name }: { name: string }) {
  const { status, engine, error } = useEngine(MODEL);
  seen.states.push(status);
  if (engine) seen.engines.add(engine);
  return h("p", { id: name }, error ? String(error) : status);
}

function Page() {
  const [isThere, setThere] = useState(true);
  const parts = isThere ? ["a", "b", "c"].map((name) => h(Part, { key: name, name })) : [];
  return h(Fragment, null, ...parts, h("button", { type: "button", onClick: () => setThere(!isThere) }, "toggle"));
}

export function mount(element: HTMLElement): void {
  createRoot(element).render(h(StrictMode, null, h(Page)));
}
