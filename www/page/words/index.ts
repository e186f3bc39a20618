/** The words of the first view, in the language of the page. */
import { effect } from "@preact/signals-core";
import { en } from "./en/main.js";
import { loadedWords, shown } from "./language.js";
import type { Words } from "./types.js";

export let words: Words = en;

effect(() => {
  words = shown(en, loadedWords.value);
});
