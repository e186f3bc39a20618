/** Words of the views in `views/looks.tsx`. */
import { enLooks } from "./en-looks.js";

/** Each language has the same ones. */
export type LookWords = typeof enLooks;

export const lookWords: LookWords = enLooks;
