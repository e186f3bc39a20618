/** The dialog that is open. */
import { signal } from "@preact/signals-core";
import type { OwnTask, PartOf, PictureName } from "../store/schema.js";

export type Dialog =
  | { kind: "fields" }
  | { kind: "rules" }
  | { kind: "find" }
  /** A task of the user's own, or a new one. */
  | { kind: "task"; task: OwnTask | null }
  | { kind: "camera" }
  | { kind: "keys" }
  | { kind: "video"; file: File }
  /** With `frame`, that part of it is framed. */
  | { kind: "picture"; picture: PictureName; frame?: Pick<PartOf, "part" | "turn"> };

export const dialog = signal<Dialog | null>(null);

export function openDialog(wanted: Dialog): void {
  dialog.value = wanted;
}

export function closeDialog(): void {
  dialog.value = null;
}
