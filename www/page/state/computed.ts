/** Results that the engine keeps of conversations in files. They reveal the text, so they are deleted with the conversations. */
import { engine } from "./engine.js";
import { keepsComputed } from "./settings.js";

/** Set while a temporary conversation is open; without content. */
const MARK = "ocelli-temporary";

/** Removes the files. They hold all conversations together, so the others are computed once more. */
export function forgetComputed(): void {
  if (keepsComputed.value) void engine.value?.clearCache().catch(() => undefined);
  storage((local) => local.removeItem(MARK));
}

/** Notes that a temporary conversation has begun: if the page ends in it, the next visit removes the files. */
export function markTemporary(): void {
  if (keepsComputed.value) storage((local) => local.setItem(MARK, "1"));
}

/** Removes what a temporary conversation of an earlier visit has left. */
export function forgetEarlier(): void {
  if (storage((local) => local.getItem(MARK)) === "1") forgetComputed();
}

function storage<T>(act: (local: Storage) => T): T | null {
  try {
    return act(localStorage);
  } catch {
    return null;
  }
}
