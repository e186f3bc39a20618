/** German: words of views that are loaded later. */
import type { LateWords } from "../types.js";
import { albums } from "./albums.js";
import { looks } from "./looks.js";
import { models } from "./models.js";
import { settings } from "./settings.js";

export const late: LateWords = { albums, looks, models, settings };
