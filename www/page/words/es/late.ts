/** The pseudo language: words of views that are loaded later. */
import { albums } from "../en/albums.js";
import { looks } from "../en/looks.js";
import { models } from "../en/models.js";
import { settings } from "../en/settings.js";
import type { LateWords } from "../types.js";

export const late: LateWords = { albums, looks, models, settings };
