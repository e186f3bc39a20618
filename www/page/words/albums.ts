/** Words of albums, in the language of the page. */
import { effect } from "@preact/signals-core";
import { albums } from "./en/albums.js";
import { loadedLate, shown } from "./language.js";
import type { AlbumWords } from "./types.js";

export let albumWords: AlbumWords = albums;

effect(() => {
  albumWords = shown(albums, loadedLate.value?.albums);
});

/** Languages of texts to choose from, by tag. */
export const LANGUAGES = ["en", "de", "es", "fr", "it", "pt", "nl", "pl", "ar", "hi", "ja", "zh-Hans", "ko"];
