/** React pages for `subpaths.test.ts`: three components of one model, and one that asks first. Each is mounted twice by StrictMode. */
import { createElement as h, Fragment, StrictMode, useState } from "react";
import { createRoot } from "react-dom/client";
import { useAnswer, useEngine } from "../src/react/index.js";

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

/** Another address of the demo model, which no other component uses. */
const ASKED = "/models/demo/?asked";

/** A component that loads only after a click, can cancel, and shows an answer. */
function Asking() {
  const state = useEngine(ASKED, { enabled: false });
  const answer = useAnswer(state.engine);
  const ask = () => void answer.ask({ messages: [{ role: "user", content: "Describe a picture." }], temperature: 0, max_tokens: 6 });
  const button = (id: string, onClick: () => void) => h("button", { id, type: "button", onClick }, id);
  const buttons = [button("load", state.load), button("cancel", state.cancel), button("ask", ask)];
  return h(Fragment, null, h("p", { id: "state" }, state.status), h("p", { id: "answer" }, `${answer.status}: ${answer.text}`), ...buttons);
}

export function mountAsking(element: HTMLElement): void {
  createRoot(element).render(h(StrictMode, null, h(Asking)));
}
