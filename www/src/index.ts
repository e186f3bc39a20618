/** Runs vision-language models on the user's own GPU. Start at {@link Engine.load}. */
export { Engine, type Completions, type LoadOptions, type RequestOptions } from "./engine.js";
export { OcelliError, type ErrorCode, type ErrorData } from "./errors.js";
export type * from "./openai.js";
export { packages, type StoredPackage } from "./packages.js";
export type { ChatEvent, DeviceReport, KvPrecision, LoadReport, ScoreResult } from "./protocol.js";
export type { ScoreRequest } from "./request.js";
export { ChatStream } from "./stream.js";
