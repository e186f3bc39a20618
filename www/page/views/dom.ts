/** Hooks that need the document. */
import { useEffect, useRef } from "preact/hooks";
import { effect, signal } from "@preact/signals";
import { theme } from "../state/appearance.js";
import { directionOf, language } from "../words/language.js";

const wide = matchMedia("(min-width: 64rem)");

/** True where the list of conversations fits beside the conversation. */
export const isWide = signal(wide.matches);
wide.addEventListener("change", () => {
  isWide.value = wide.matches;
});

/** A dialog that is open as long as its component is shown, with the focus on the element `first`, if it is given. */
export function useModal(first?: string): { current: HTMLDialogElement | null } {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const before = document.activeElement;
    dialog.current?.showModal();
    if (first) document.getElementById(first)?.focus();
    return () => {
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, [first]);
  return dialog;
}

/** Adds a style sheet of this site once; resolves when it applies. */
export function loadStyles(file: string): Promise<void> {
  if (document.querySelector(`link[href="${file}"]`)) return Promise.resolve();
  const link = document.createElement("link");
  [link.rel, link.href] = ["stylesheet", file];
  return new Promise((resolve, reject) => {
    link.onload = () => resolve();
    link.onerror = () => {
      link.remove();
      reject(new Error(`${file} could not be loaded`));
    };
    document.head.append(link);
  });
}

/** Frames after which an element that is not there is not waited for any more. */
const FRAMES = 120;

/** Gives the focus to an element once it is there: the code of its view may still be loading. */
export function focusWhenThere(id: string, frames = FRAMES): void {
  requestAnimationFrame(() => {
    const element = document.getElementById(id);
    if (element) element.focus();
    else if (frames > 0) focusWhenThere(id, frames - 1);
  });
}

/** Elements that take the focus, except links. */
const CONTROLS = ":enabled:not([hidden],fieldset)";

/** The element that has the focus, or had it until it was hidden, disabled or removed, and those around it. */
export let focused: readonly Element[] = [];

/** Gives the focus of a control that is removed to the first one in the closest part of the page that is left. */
export function keepFocus(): void {
  document.addEventListener("focusin", (event) => {
    focused = event.composedPath() as Element[];
  });
  // A press beside all controls takes the focus away on purpose.
  document.addEventListener("pointerdown", () => {
    focused = [];
  });
  new MutationObserver(() => {
    if (document.activeElement !== document.body || focused[0]?.isConnected !== false) return;
    for (const part of focused) {
      const next = part.isConnected && part.querySelector<HTMLElement>(CONTROLS);
      if (next) return next.focus({ preventScroll: true });
    }
  }).observe(document.body, { childList: true, subtree: true });
}

/** Makes the document follow the language and the colours that are chosen. */
export function followAppearance(): void {
  effect(() => {
    const { documentElement } = document;
    [documentElement.lang, documentElement.dir] = [language.value, directionOf(language.value)];
    documentElement.dataset["theme"] = theme.value;
  });
}
