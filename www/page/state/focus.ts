/** The element that the views give the focus to next, by its id. */
import { signal } from "@preact/signals-core";

/** A new object for each request, so that the same element can be asked for twice. */
export const focusRequest = signal<{ id: string } | null>(null);

export function focusOn(id: string): void {
  focusRequest.value = { id };
}
