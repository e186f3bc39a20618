/** The words of the page. */
import { en } from "./en.js";

/** All texts of the page. Each language has the same ones. */
export type Words = typeof en;

export const words: Words = en;
