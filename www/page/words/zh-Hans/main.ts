/** stub: the words of the first view. */
import { en } from "../en/main.js";
import type { Words } from "../types.js";

export const main: Words = en;
