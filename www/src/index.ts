/** Runs vision-language models on the user's own GPU. Start at {@link Engine.load}. */
export { Engine, type Completions, type LoadOptions, type RequestOptions } from "./engine.js";
export { OcelliError, type ErrorCode, type ErrorData } from "./errors.js";
export { importModel, interruptedImports, type InterruptedImport, type MakeOptions } from "./import-model.js";
export type * from "./model-source.js";
export type * from "./openai.js";
export { packages, type StoredPackage } from "./packages.js";
export { gpuBytes, registry, type RegisteredModel } from "./registry.js";
export type {
  ChatEvent,
  DeviceReport,
  ImportResult,
  Arithmetic,
  KvPrecision,
  LoadReport,
  MemoryPlan,
  MemoryPurpose,
  MemoryReport,
  ScoreResult,
  Speculation,
  VisionResidency,
} from "./protocol.js";
export type { ScoreRequest } from "./request.js";
export { ChatStream } from "./stream.js";
