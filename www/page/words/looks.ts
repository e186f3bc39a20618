/** Words of the views in `views/looks.tsx`, in the language of the page. */
import { effect } from "@preact/signals-core";
import { looks } from "./en/looks.js";
import { loadedLate, shown } from "./language.js";
import type { LookWords } from "./types.js";

export let lookWords: LookWords = looks;

effect(() => {
  lookWords = shown(looks, loadedLate.value?.looks);
});
