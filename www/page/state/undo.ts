/** The last deletion, as long as it can be undone. */
import { signal } from "@preact/signals-core";

const SECONDS = 10;

/** A deletion in words, and its opposite. */
export const undoable = signal<{ words: string; undo: () => void } | null>(null);

export function offerUndo(words: string, undo: () => void): void {
  const offer = {
    words,
    undo: () => {
      undoable.value = null;
      undo();
    },
  };
  undoable.value = offer;
  setTimeout(() => {
    if (undoable.value === offer) undoable.value = null;
  }, 1000 * SECONDS);
}
