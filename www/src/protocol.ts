/**
 * What page and worker say to each other. The page makes calls, each with an id of its own; the worker answers a call with
 * any number of events and then one result or one error.
 */
import type { ErrorData } from "./errors.js";
import type { Features } from "./features.js";
import type { ImportOptions, WireSource } from "./model-source.js";

/** Raised with every change of this file: a page and a worker of different builds must not misunderstand each other. */
export const PROTOCOL_VERSION = 9;

/** A picture on its way to the worker. A string is an absolute URL: `http(s):`, `data:` or `blob:`. */
export type PictureSource = string | Blob | ImageBitmap | ImageData;

export type LoadStage = "import" | "manifest" | "weights" | "kernels" | "prepare" | "ready";

/** Opening a package: where it is so far. */
export type LoadReport =
  /**
   * `import` counts bytes of the checkpoint, `weights` those of the package, `kernels` the GPU programs that are compiled while
   * the first weights come; the other stages are not measured.
   */
  | { kind: "progress"; stage: LoadStage; loaded: number; total: number; cached: boolean }
  /** A stored shard was damaged; it has been fetched again. */
  | { kind: "repaired"; file: string }
  /** Loading goes on, but the model will not be kept. `detail`, in bytes, where the browser tells how much it would keep. */
  | {
      kind: "warning";
      code: "storage-unavailable" | "storage-full";
      message: string;
      detail: { wanted: number; free: number } | null;
    };

/** Progress within an answer. */
export type ChatEvent =
  | { kind: "text"; text: string }
  | { kind: "progress"; stage: "vision" | "prefill"; done: number; total: number }
  /** The GPU was lost (a driver reset, say). It is opened again, and the answer goes on where it was. */
  | { kind: "recovering"; attempt: number; reason: string }
  /** Something about a picture that the user should know. */
  | { kind: "note"; picture: number; message: string };

export interface DeviceReport {
  /** Browsers may hide it: then it is empty. */
  name: string;
  backend: string;
  driver: string;
  maxStorageBufferBindingSize: number;
  maxBufferSize: number;
  /** How work is divided: for a GPU, for a processor that does its work, or for one that also compiles slowly. */
  class: "hardware" | "software" | "slow_compiler";
  /** Optional abilities that the device has. */
  features: Features;
  /** Fewest and most lanes of a subgroup, as far as the platform says. */
  subgroupSizes: [number, number];
  selfTest: SelfTest;
}

/** Every kernel that the model needs, run on known numbers before it is loaded. */
export interface SelfTest {
  /** Kernels that compute rightly. */
  passed: number;
  /** Faster kernels that do not on this device, and are therefore not used. */
  failed: { kernel: string; tier: string; detail: string }[];
  /** How kernels are computed: with which features, and which of each family's variants (0: what suits the class). */
  kernelConfig: { class: string; features: Features; variants: number[] };
  /** Milliseconds, compiling included. */
  ms: number;
}

/** How the cache of keys and values holds a number: 32-bit floats, 16-bit floats, or 8-bit integers with scales. */
export type KvPrecision = "f32" | "f16" | "int8";

/** A package that was made from a checkpoint, now or earlier. */
export interface ImportResult {
  /** What `Engine.load` takes. */
  packageUrl: string;
  /** The model's name. */
  name: string;
  /** The most memory that the wasm module has had, in bytes. */
  wasmBytes: number;
}

/** Where the weights are that read pictures: always on the GPU, only while pictures are read, or there layer by layer. */
export type VisionResidency = "resident" | "dropped" | "streamed";

/** What GPU memory is for. */
export type MemoryPurpose = "text_weights" | "vision_weights" | "kv_cache" | "activations" | "features" | "staging";

/** How the model is run within its memory. All sizes in bytes. */
export interface MemoryPlan {
  /** What the caller allowed. */
  budget: number | null;
  /** Tokens a conversation may hold. */
  context: number;
  kv: KvPrecision;
  vision: VisionResidency;
  /** Longest edge of a picture in pixels; larger ones are scaled down. */
  longestEdge: number;
  /** The most that each phase takes. */
  phases: { phase: "load" | "picture" | "text"; purposes: { purpose: MemoryPurpose; bytes: number }[]; total: number }[];
  /** The most there will be at any time. */
  peak: number;
}

/** GPU memory: the plan, and what is taken now and was at most. */
export interface MemoryReport {
  plan: MemoryPlan;
  purposes: { purpose: MemoryPurpose; current: number; peak: number }[];
  /** The most there was at any time, all purposes together. */
  peak: number;
  /** The most memory that the wasm module has had, in bytes. Not on the GPU. */
  wasmBytes: number;
}

/** When ways to compute are tried on the device: on hardware, on every device, or never. */
export type Tune = "auto" | "always" | "never";

/** Which numbers kernels may come to: those of 32-bit floats, or also those of 16-bit floats and 8-bit inputs. */
export type Arithmetic = "exact" | "fast";
/** Whether tokens that stand earlier in the conversation are guessed and verified several at a time: where that is faster, or never. */
export type Speculation = "auto" | "off";

/** How a model is loaded; null where the engine is to choose. */
export interface WireLoadOptions {
  context: number | null;
  kvPrecision: KvPrecision | null;
  gpuMemoryBudget: number | null;
  vision: VisionResidency | null;
  tune: Tune | null;
  arithmetic: Arithmetic | null;
  speculation: Speculation | null;
}

export interface LoadResult {
  device: DeviceReport;
  memory: MemoryReport;
  kvPrecision: KvPrecision;
  config: unknown;
}

export interface CompletionResult {
  text: string;
  /** The answer's tokens, those among them that print nothing included. */
  tokens: number[];
  finish_reason: "stop" | "length";
  usage: {
    prompt_tokens: number;
    completion_tokens: number;
    cached_tokens: number;
    /** Tokens that were guessed, and those of the answer among them. */
    drafted_tokens: number;
    accepted_tokens: number;
  };
  /** In milliseconds. */
  timings: { prepare_ms: number; vision_ms: number; prefill_ms: number; decode_ms: number };
}

/** The model's raw output over a prompt. */
export interface ScoreResult {
  inputIds: Uint32Array;
  /** `[tokens, vocabSize]`, row after row. */
  logits: Float32Array;
  vocabSize: number;
}

/** The calls there are. `request` crosses as it is, beside `kind` and `id`. */
export interface Calls {
  import: {
    request: {
      version: number;
      source: WireSource;
      options: ImportOptions;
      storage: "prefer" | "require";
      wasmUrl: string | null;
    };
    event: LoadReport;
    result: ImportResult;
  };
  load: {
    request: {
      version: number;
      packageUrl: string;
      mirrors: string[];
      storage: "prefer" | "require";
      wasmUrl: string | null;
      options: WireLoadOptions;
    };
    event: LoadReport;
    result: LoadResult;
  };
  chat: { request: { body: string; pictures: PictureSource[] }; event: ChatEvent; result: CompletionResult };
  memory: { request: Record<never, never>; event: never; result: MemoryReport };
  preallocate: { request: { width: number; height: number }; event: never; result: MemoryReport };
  score: { request: { body: string; pictures: PictureSource[] }; event: never; result: ScoreResult };
  unload: { request: Record<never, never>; event: never; result: null };
}

export type CallKind = keyof Calls;

export type Call<K extends CallKind = CallKind> = { [P in K]: { kind: P; id: number } & Calls[P]["request"] }[K];

export type ToWorker = Call | { kind: "cancel"; id: number };

export type FromWorker<K extends CallKind = CallKind> =
  | { kind: "event"; id: number; event: Calls[K]["event"] }
  | { kind: "result"; id: number; result: Calls[K]["result"] }
  | { kind: "error"; id: number; error: ErrorData };
