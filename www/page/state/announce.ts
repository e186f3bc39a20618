/** Text for screen readers. */
import { signal } from "@preact/signals-core";

export const announcement = signal("");

/** Tells screen readers something. */
export function announce(text: string): void {
  announcement.value = text;
}
