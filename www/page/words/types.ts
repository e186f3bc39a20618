/** Types of the texts: those of English, which every other language has, too. */
import type { albums } from "./en/albums.js";
import type { looks } from "./en/looks.js";
import type { en } from "./en/main.js";
import type { models } from "./en/models.js";
import type { settings } from "./en/settings.js";

/** Words of the first view. */
export type Words = typeof en;
export type AlbumWords = typeof albums;
export type LookWords = typeof looks;
export type ModelWords = typeof models;
export type SettingWords = typeof settings;

/** Words of views that are loaded later. */
export interface LateWords {
  albums: AlbumWords;
  looks: LookWords;
  models: ModelWords;
  settings: SettingWords;
}
