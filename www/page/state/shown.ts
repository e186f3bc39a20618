/** The pictures that a question would be about without new ones. */
import { computed } from "@preact/signals-core";
import { path } from "./conversation.js";
import { sentOf } from "./tree.js";

export const shownPictures = computed(() => {
  const all = sentOf(path.value).flatMap(({ pictures }) => pictures);
  return [...new Map(all.map((picture) => [picture.id, picture])).values()];
});
