/** Words of the list of models, in the language of the page. */
import { effect } from "@preact/signals-core";
import { models } from "./en/models.js";
import { loadedLate, shown } from "./language.js";
import type { ModelWords } from "./types.js";

export let modelWords: ModelWords = models;

effect(() => {
  modelWords = shown(models, loadedLate.value?.models);
});
