/** Hooks that need the document. */
import { useEffect, useRef } from "preact/hooks";
import { signal } from "@preact/signals";

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
