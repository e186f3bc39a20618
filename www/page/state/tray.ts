/** The question that is being written: its text, its pictures, and the question that it replaces. */
import { signal } from "@preact/signals-core";
import type { Id, PictureName } from "../store/schema.js";

export const questionText = signal("");
export const attached = signal<readonly PictureName[]>([]);
/** The question that is edited; `null` for a new one. */
export const edited = signal<Id | null>(null);

/** A file that may hold conversations, until it is read. */
export const givenConversations = signal<File | null>(null);

export function attach(picture: PictureName): void {
  attached.value = [...attached.value, picture];
}

export function detach(picture: PictureName): void {
  attached.value = attached.value.filter((other) => other !== picture);
}

/** Empties the question and returns its pictures. */
export function takeQuestion(): readonly PictureName[] {
  const taken = attached.value;
  [questionText.value, attached.value, edited.value] = ["", [], null];
  return taken;
}
