import type { Params } from "./types.js";

/**
 * The answer of `LanguageModel.params()`. Defaults are Chrome's, for code that computes its own values from them; a session without values
 * uses the recommendation of the model's publisher.
 */
export const PARAMS: Params = { defaultTopK: 3, maxTopK: 128, defaultTemperature: 1, maxTemperature: 2 };
