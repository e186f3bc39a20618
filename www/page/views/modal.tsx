/** A dialog with a heading. */
import type { ComponentChildren } from "preact";
import { closeDialog } from "../state/dialog.js";
import { words } from "../words/index.js";
import { useModal } from "./dom.js";

interface Props {
  id: string;
  heading: string;
  /** The id of the element that has the focus at first. */
  first?: string;
  /** A wide one shows pictures. */
  isWide?: boolean;
  children: ComponentChildren;
}

export function Modal({ id, heading, first, isWide = false, children }: Props) {
  const dialog = useModal(first);
  return (
    <dialog class={isWide ? "modal wide" : "modal"} id={id} ref={dialog} aria-labelledby={`${id}-heading`} onClose={closeDialog}>
      <div class="modal-head">
        <h2 id={`${id}-heading`}>{heading}</h2>
        <button type="button" class="quiet" onClick={closeDialog}>
          {words.close}
        </button>
      </div>
      {children}
    </dialog>
  );
}
