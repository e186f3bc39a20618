/** The worker's help with a browser's device. */
import type { BrowserDevice } from "../wasm/ocelli.js";
import { commandLists } from "./command-lists.js";
import { compileAhead } from "./compile-ahead.js";

export const browserDevice: BrowserDevice = { compileAhead, ...commandLists };
