/** Keys of the whole page. Those of a view are with it. */
import { useEffect } from "preact/hooks";
import { underway } from "../state/answer.js";
import { openDialog } from "../state/dialog.js";
import { focusOn } from "../state/focus.js";
import { go } from "../state/route.js";
import { newConversation } from "../state/session.js";
import { singleKeys } from "../state/settings.js";

/** Acts of single keys. */
const ACTS: Readonly<Record<string, () => void>> = {
  "/": () => inConversation(() => focusOn("question")),
  n: () => inConversation(newConversation),
  u: () => inConversation(() => document.getElementById("files")?.click()),
  "?": () => openDialog({ kind: "keys" }),
  c: () => inConversation(() => focusOn(document.getElementById("search") ? "search" : "question")),
  a: () => go({ view: "albums", id: null }),
  m: () => {
    go({ view: "models" });
    focusOn("models-summary");
  },
  s: () => go({ view: "settings", section: "general" }),
};

function inConversation(act: () => void): void {
  if (!document.getElementById("question")) go({ view: "conversation", id: null });
  // After the view is shown.
  requestAnimationFrame(act);
}

/** Fields that take what is typed; others, such as check boxes, take none of the keys above. */
const WRITES = "textarea, select, [contenteditable], input:not([type=checkbox], [type=radio], [type=file], [type=range])";

export function useKeys(): void {
  useEffect(() => {
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, []);
}

function onKey(event: KeyboardEvent): void {
  const isInDialog = document.querySelector("dialog[open]") !== null;
  if (event.key === "Escape" && !isInDialog) underway.value?.stop();
  const target = event.target instanceof Element ? event.target : null;
  const isTyped = event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.defaultPrevented;
  if (!singleKeys.value || isInDialog || isTyped || target?.closest(WRITES)) return;
  // The buttons of a question or an answer name their keys themselves.
  const button = target?.closest("article.turn")?.querySelector<HTMLElement>(`[aria-keyshortcuts="${CSS.escape(event.key)}"]`);
  const act = button ? () => button.click() : ACTS[event.key];
  if (!act) return;
  event.preventDefault();
  act();
}

/** The attribute that names a single key, unless they are switched off. */
export function shortcut(key: string): { "aria-keyshortcuts"?: string } {
  return singleKeys.value ? { "aria-keyshortcuts": key } : {};
}
