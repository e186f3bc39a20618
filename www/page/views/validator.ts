/** The part of the library that the page uses: a dynamic import of the library itself would load all of it. */
export { Validator } from "@cfworker/json-schema";
