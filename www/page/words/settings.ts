/** Words of settings, of the list of keys and of shared pictures, in the language of the page. */
import { effect } from "@preact/signals-core";
import { settings } from "./en/settings.js";
import { loadedLate, shown } from "./language.js";
import type { SettingWords } from "./types.js";

export let settingWords: SettingWords = settings;

effect(() => {
  settingWords = shown(settings, loadedLate.value?.settings);
});
