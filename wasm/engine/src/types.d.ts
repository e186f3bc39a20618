// Declares all values that pass between the engine's module and JavaScript: the module's `ocelli.d.ts` begins with this file, and `www/src`
// imports the types from there. A test in www/test/package.test.ts compiles real values against them.

/** Why an answer ended: by the model or a stop string, or at `max_tokens` or the end of the context. */
export type FinishReason = "stop" | "length" | "tool_calls";

/** Duration of the stages of an answer, in milliseconds. */
export interface Timings {
  /** Decoding and resizing pictures, tokenizing the text. */
  prepare_ms: number;
  /** Pictures through the vision tower. */
  vision_ms: number;
  /** The prompt through the decoder. */
  prefill_ms: number;
  /** All tokens of the answer. */
  decode_ms: number;
  /** The part of `decode_ms` that was spent on the masks of a format. */
  grammar_ms?: number;
}

/** Token counts of one request. */
export interface Usage {
  /** Tokens of the prompt, those of pictures included. */
  prompt_tokens: number;
  /** Tokens of the answers. */
  completion_tokens: number;
  /** Sum of both. */
  total_tokens: number;
  /** Prompt tokens whose keys and values were still in the cache, and those of pictures, if there are any. */
  prompt_tokens_details: { cached_tokens: number; image_tokens?: number };
  /** Draft tokens (speculative decoding) that the model confirmed, and those that it did not. */
  completion_tokens_details: {
    accepted_prediction_tokens: number;
    rejected_prediction_tokens: number;
    /** Tokens of reasoning, if there are any. */
    reasoning_tokens?: number;
  };
  /** Not in OpenAI's API: durations of the stages, sizes of pictures, and the number of tokens that a format forced. */
  ocelli: Timings & { pictures?: ShownPicture[]; forced_tokens?: number };
}

/** Size of a picture for the model: at most 512 pixels long, the model's maximum, or as large as the device computes in time. */
export type Detail = "low" | "high" | "auto";

/** Size of a picture for the model, in pixels, and its tokens. */
export interface ShownPicture {
  detail: Detail;
  width: number;
  height: number;
  tokens: number;
}

/** A token and the natural logarithm of its probability, by the model's own distribution: before temperature, bias and filters. */
export interface TopLogprob {
  token: string;
  logprob: number;
  /** `null` for control tokens, which print nothing. */
  bytes: number[] | null;
}

/** A token of an answer, with the likeliest alternatives. */
export interface TokenLogprob extends TopLogprob {
  top_logprobs: TopLogprob[];
}

/** Log probabilities of an answer, or of a piece of it; `null` if they were not requested. */
export type Logprobs = { content: TokenLogprob[]; refusal: null } | null;

/** A tool call of the OpenAI API. */
export interface ToolCall {
  id: string;
  type: "function";
  /** `arguments` is JSON that fits the function's schema, if the answer was not cut by its limit. */
  function: { name: string; arguments: string };
}

/** A piece of a call. Its first has the id and the name. */
export interface ToolCallDelta {
  /** Index of the call in the answer. */
  index: number;
  id?: string;
  type?: "function";
  function: { name?: string; arguments: string };
}

/** A complete answer of the OpenAI API. */
export interface ChatCompletion {
  id: string;
  object: "chat.completion";
  /** Seconds since 1970. */
  created: number;
  model: string;
  choices: {
    index: number;
    /** `content` is `null` if there are only calls. */
    message: {
      role: "assistant";
      content: string | null;
      /** Reasoning of the model before its answer. Not in OpenAI's API. */
      reasoning_content?: string;
      refusal: null;
      tool_calls?: ToolCall[];
    };
    finish_reason: FinishReason;
    logprobs: Logprobs;
  }[];
  usage: Usage;
}

/** A chunk of a streamed answer of the OpenAI API. */
export interface ChatCompletionChunk {
  id: string;
  object: "chat.completion.chunk";
  /** Seconds since 1970. */
  created: number;
  model: string;
  choices: {
    index: number;
    delta: { role?: "assistant"; content?: string; reasoning_content?: string; tool_calls?: ToolCallDelta[] };
    finish_reason: FinishReason | null;
    logprobs: Logprobs;
  }[];
  /** Only with `stream_options.include_usage`: the counts in the last chunk, `null` in all others. */
  usage?: Usage | null;
}

/** Id, time and seed of one request. */
export interface RequestStamp {
  /** Letters and digits, unique to the request. */
  id: string;
  /** Seconds since 1970. */
  created: number;
  /** The seed of a request that names none; 32 bits. */
  seed: number;
  /** Name of the sender, which may be empty: its responses are stored for it. Absent to store none. */
  owner?: string;
}

/** The names under which a model is served. */
export interface ServiceOptions {
  /** Its name in answers. */
  model: string;
  /** Further names that requests may use. */
  aliases: string[];
  /** Answers requests for embeddings though the model was not trained for them. */
  embeddings: boolean;
  /** Seconds since 1970. */
  created: number;
}

/** A picture of a request, and the path of its field. */
export interface PictureUrl {
  url: string;
  field: string;
  detail: Detail;
}

/** A whole reply over HTTP. */
export interface Reply {
  status: number;
  /** JSON. */
  body: string;
  /** Value of the header `x-should-retry`. */
  may_retry: boolean | null;
}

/** An event during the computation of an answer. */
export type ChatEvent =
  /** `vision` counts layers of the vision tower, `prefill` tokens of the prompt. */
  | { kind: "progress"; stage: "vision" | "prefill"; done: number; total: number }
  /** The GPU device was lost, for example by a driver reset. It is opened again and the answer continues. */
  | { kind: "recovering"; attempt: number; reason: string }
  /** The GPU was lost too often and `device` was `auto`: the answer continues on the processor. */
  | { kind: "processor"; device: Omit<DeviceReport, "selfTest"> }
  /** The size of a picture of the request for the model. */
  | ({ kind: "picture"; picture: number } & ShownPicture)
  /** A note about a picture for the user. */
  | { kind: "note"; picture: number; message: string }
  /** The conversation is too long for the context and `truncation` is `auto`: its oldest `turns` turns are left out. */
  | { kind: "truncated"; turns: number };

/** An event, or a frame of a stream: JSON, or `[DONE]`. */
export type AnswerEvent = ChatEvent | { kind: "frame"; event: string | null; data: string };

/** Logits of every position of a prompt. */
export interface ScoreResult {
  inputIds: Uint32Array;
  /** `[tokens, vocabSize]` */
  logits: Float32Array;
  vocabSize: number;
}

/** Encoded bytes (PNG, JPEG, WebP), or pixels `[height, width, 4]`. */
export type Picture = Uint8Array | { width: number; height: number; rgba: Uint8ClampedArray };

/** Optional features of a GPU that kernels use. */
export interface Features {
  /** 16-bit floats in shaders. */
  f16: boolean;
  /** Sums across the lanes of a subgroup. */
  subgroups: boolean;
  /** Dot products of four packed 8-bit integers. */
  dot: boolean;
  /** Workgroups of 512 threads, with 32 KiB of memory. */
  largeWorkgroups: boolean;
}

/** Facts about the GPU that the browser reports and wgpu does not. */
export interface BrowserCaps {
  features: Features;
  /** Fewest and most lanes of a subgroup; `null` if unknown. */
  subgroupSizes: [number, number] | null;
  names: BrowserNames;
}

/** Names that tell GPUs and drivers apart; empty where the browser hides them. */
export interface BrowserNames {
  /** Vendor, architecture, device and description of the adapter. */
  adapter: string;
  /** The renderer of WebGL, usually the same GPU. */
  renderer: string;
  /** The browser and its major version. */
  browser: string;
}

/** A GPU, a CPU that emulates one, one that also compiles shaders slowly, or the processor itself. */
export type DeviceClass = "hardware" | "software" | "slow_compiler" | "processor";

/** How kernels are computed on a device. */
export interface KernelConfig {
  class: DeviceClass;
  /** True for GPUs whose threads have few registers, such as Intel's and Arm's. */
  fewRegisters: boolean;
  /** Features that kernels may use. */
  features: Features;
  /** The variant of each tuned family of kernels. 0: the default of the device's class. */
  variants: number[];
}

/** Result of the self-test, which runs every kernel of the model on known numbers before the model is loaded. */
export interface SelfTest {
  /** Kernels that compute correctly. */
  passed: number;
  /** Faster kernels that compute wrong results on this device, and are therefore not used. */
  failed: { kernel: string; tier: string; detail: string }[];
  kernelConfig: KernelConfig;
  /** True if nothing was run, because the same kernels had passed on this device in an earlier load. */
  earlier: boolean;
  /** Milliseconds, compiling included. */
  ms: number;
}

/** The GPU or the processor that a model runs on. */
export interface DeviceReport {
  /** Empty if the browser hides it; `WebAssembly` for the processor. */
  name: string;
  /** The browser's name of the interface; `Cpu` for the processor. */
  backend: string;
  /** The driver of a GPU; the instructions of the processor that are used. */
  driver: string;
  maxStorageBufferBindingSize: number;
  maxBufferSize: number;
  class: DeviceClass;
  /** Optional features of the device. */
  features: Features;
  /** Fewest and most lanes of a subgroup, as far as the platform reports them. */
  subgroupSizes: [number, number];
  /** Most bytes of all buffers together, for the processor in a page. */
  maxMemory?: number;
  /** Threads of a processor; absent for a GPU. */
  threads?: number;
  /** With `device: "auto"` on the processor: why not on a GPU, for people. */
  reason?: string;
  selfTest: SelfTest;
}

/** Number format of the KV cache: 32-bit floats, 16-bit floats, or 8-bit integers with scales. */
export type KvPrecision = "f32" | "f16" | "int8";

/** Residency of the vision tower's weights: always on the GPU, only while pictures are encoded, or uploaded layer by layer then. */
export type VisionResidency = "resident" | "dropped" | "streamed";

/** When faster kernel variants are searched for: on hardware, on every device, or never. */
export type Tune = "auto" | "always" | "never";

/** Numbers that kernels may compute with: 32-bit floats, or also 16-bit floats and 8-bit inputs. */
export type Arithmetic = "exact" | "fast";

/** When draft tokens from the conversation are verified several at a time: where that is faster, or never. */
export type Speculation = "auto" | "off";

/** Purpose of GPU memory. */
export type MemoryPurpose = "text_weights" | "vision_weights" | "kv_cache" | "activations" | "features" | "staging";

/** How the model is run within its memory. All sizes in bytes. */
export interface MemoryPlan {
  /** The caller's limit. */
  budget: number | null;
  /** Tokens that a conversation may hold. */
  context: number;
  kv: KvPrecision;
  /** Number format of a picture's keys and values in the vision tower. */
  visionKv: KvPrecision;
  /** True if empty pages of the KV cache stay allocated while pictures are encoded. */
  keepsPages: boolean;
  /** Idle conversations whose recurrent states are kept, for models with recurrent layers. */
  idleConversations: number;
  vision: VisionResidency;
  /** Layers of a streamed vision tower that are on the GPU at once. */
  visionSlots: number;
  /** Rows computed at a time: tokens of a prompt, logits, tokens of a decoding step with its drafts; patches of a picture. */
  rows: { text: { prompt: number; head: number; step: number }; vision: number };
  /** Longest edge of a picture in pixels; larger ones are scaled down. */
  longestEdge: number;
  /** Rows of picture features that are on the GPU at once. */
  featureRows: number;
  /** Peak of each phase. */
  phases: { phase: "load" | "picture" | "text"; purposes: { purpose: MemoryPurpose; bytes: number }[]; total: number }[];
  /** Peak of all phases. */
  peak: number;
}

/** GPU memory: the plan, current allocations, and the peak. All sizes in bytes. */
export interface MemoryReport {
  plan: MemoryPlan;
  purposes: { purpose: MemoryPurpose; current: number; peak: number }[];
  /** Peak of all purposes together. */
  peak: number;
  /** Peak size of the wasm module's memory, which is not on the GPU. */
  wasmBytes: number;
}

/** Results of tuning for a device and a model. */
export interface Tuned {
  variants: number[];
  tried: number;
  /** Measured rate of matrix products in 1e9 FLOP per second; 0 if unknown. */
  gflops: number;
  /** Optional features that compute wrong results on this device. */
  wrong: Features;
  /** Identifies the kernels that passed all tests. */
  proof: number[];
}

/** Progress of loading. The results of tuning count a trial before it runs: stored at once, they exclude it if it takes the GPU down. */
export type EngineLoadEvent =
  | { kind: "kernels"; done: number; total: number }
  | { kind: "trial"; key: string; tuned: Tuned }
  /** The processor replaces the GPU, for an error with the code `cause`. */
  | { kind: "processor"; cause: string; reason: string };

/** The module of the processor, whose memory holds the buffers of a model. Addresses are offsets in that memory. */
export interface CpuHost {
  readonly instructions: string;
  readonly threads: number;
  /** The address of a new buffer of zeros; 0 if there is no memory for it. */
  alloc(bytes: number): number;
  free(at: number): void;
  write(at: number, bytes: Uint8Array): void;
  read(at: number, bytes: number): Uint8Array;
  /** Carries out a job. Returns 0, or the number of a fault. */
  run(words: Uint32Array): number;
  /** Resolves after other events of the worker. */
  giveWay(): Promise<void>;
}

/** How a model is loaded; `null` leaves the choice to the engine. */
export interface EngineOptions {
  context: number | null;
  kvPrecision: KvPrecision | null;
  gpuMemoryBudget: number | null;
  vision: VisionResidency | null;
  tune: Tune | null;
  arithmetic: Arithmetic | null;
  speculation: Speculation | null;
  maxPixels: number | null;
  maxPictureSeconds: number | null;
}

/** The worker's help with the device that was opened last. */
export interface BrowserDevice {
  /** Compiles a shader. `readOnly`: for each storage binding from 1 on, true if it is only read. */
  compileAhead(name: string, code: string, readOnly: boolean[]): Promise<void>;
  /** Makes the next encoder remember its commands, without encoding them. */
  record(): void;
  /** Returns the number of a new list with these commands. */
  recorded(): number;
  /** Submits lists, followed by a copy between two buffers if there is a target. */
  submit(lists: Uint32Array, source: object | undefined, offset: number, target: object | undefined, bytes: number): void;
  /** Drops a list. */
  forget(list: number): void;
}

/** `decodePicture` of the module that reads picture files: pixels of 3 bytes. It throws `{ code, message, detail }`. */
export type DecodePicture = (bytes: Uint8Array, megapixels: number) => { width: number; height: number; pixels: Uint8Array };

/** Inputs of loading besides the options. */
export interface LoadContext {
  /** `auto` is a GPU that the processor may replace. */
  device: "auto" | "gpu" | "cpu";
  browserCaps: BrowserCaps;
  /** Results of earlier tuning by their key. */
  known: Record<string, Tuned>;
}

/** The format that an answer must have. The module `ocelli_grammar` compiles it. */
export interface WantedFormat {
  kind: "json_schema" | "regex" | "lark" | "rules";
  text: string;
}

/** `Grammar` of that module. */
export type GrammarObject = object;

/** The receiver of a request's output. */
export interface RequestClient {
  /** The budgets of a counted request admitted it: its answers are computed from now on. */
  admitted(): void;
  /** A frame of its stream, or its progress: an `AnswerEvent` as JSON, so that an event is one call. */
  send(event: string): void;
  /** The body of its answer, also of a stream. */
  done(body: string): void;
  /** Its error: `{ code, message, detail }`, or an exception of the worker. */
  failed(error: unknown): void;
}
