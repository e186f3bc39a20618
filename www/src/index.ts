/** Runs vision-language models on the user's own GPU. Start at {@link Engine.load}. */
export type { BatchAnswer, BatchLineError, BatchOptions, BatchProgress, BatchRequest, BatchSource } from "./api/batch.js";
export type { CheckCode, CheckOptions, CheckReason, DeviceCheck, ModelCheck } from "./api/check.js";
export type { CheckedDevice, DeviceFault, DeviceLimits } from "./api/check-device.js";
export type { AiSdkOptions, AnthropicOptions, OpenAIOptions } from "./api/clients.js";
export {
  Engine,
  type Completions,
  type Embeddings,
  type LoadOptions,
  type RequestOptions,
  type TokenizeRequest,
  type TokenizeResult,
} from "./api/engine.js";
export type { Fetch } from "./api/fetch.js";
export { importModel, interruptedImports, type InterruptedImport, type MakeOptions } from "./api/import-model.js";
export type * from "./api/openai.js";
export { known, registry, type ModelSize, type ModelSkill, type RegisteredModel } from "./api/registry.js";
export type { ScoreRequest } from "./api/request.js";
export { ChatStream } from "./api/stream.js";
export { OcelliError, type ErrorCode, type ErrorData } from "./errors.js";
export type { DescribedFile } from "./import/checkpoint.js";
export type * from "./import/model-source.js";
export { packages, type StoredPackage } from "./store/packages.js";
export type { LoadReport, LoadStage } from "./store/report.js";
export type { BenchMeasure, BenchOptions, BenchReport, KernelShare } from "./worker/bench-types.js";
export type { DeviceChoice } from "./worker/protocol.js";
export type { Parts } from "./worker/start-worker.js";
export type {
  Arithmetic,
  BudgetDetail,
  Budgets,
  ChatEvent,
  DeviceClass,
  DeviceReport,
  Features,
  KernelConfig,
  KvPrecision,
  Limit,
  MemoryPlan,
  MemoryPurpose,
  MemoryReport,
  ScoreResult,
  SelfTest,
  Speculation,
  Tune,
  UsageReport,
  UsageRow,
  VisionResidency,
} from "./wasm/ocelli.js";
export type { MatrixLayout } from "./wasm/ocelli_import.js";
