// The shape of every value that passes between the engine's module and JavaScript, declared once: the module's `ocelli.d.ts` begins with
// this file, and `www/src` takes the types from there. A test in www/test/package.test.ts compiles real values against them.

/** Why an answer ended: by the model or a stop string, or at `max_tokens` or the end of the context. */
export type FinishReason = "stop" | "length" | "tool_calls";

/** How long the stages of an answer took, in milliseconds. */
export interface Timings {
  /** Decoding and resizing pictures, tokenizing the text. */
  prepare_ms: number;
  /** Pictures through the vision tower. */
  vision_ms: number;
  /** The prompt through the decoder. */
  prefill_ms: number;
  /** All tokens of the answer. */
  decode_ms: number;
  /** Of these, what a format took to say which tokens may come. */
  grammar_ms?: number;
}

/** Token counts of one request. */
export interface Usage {
  /** Tokens of the prompt, those of pictures included. */
  prompt_tokens: number;
  /** Tokens of the answers. */
  completion_tokens: number;
  /** Both. */
  total_tokens: number;
  /** Prompt tokens whose keys and values were still in the cache. */
  prompt_tokens_details: { cached_tokens: number };
  /** Draft tokens (speculative decoding) that the model confirmed, and those that it did not. */
  completion_tokens_details: {
    accepted_prediction_tokens: number;
    rejected_prediction_tokens: number;
    /** Tokens of thoughts, where there are any. */
    reasoning_tokens?: number;
  };
  /** Not in OpenAI's API: how long the stages took, how large pictures were shown, and the tokens that a format left no choice about. */
  ocelli: Timings & { pictures?: ShownPicture[]; forced_tokens?: number };
}

/** How large a picture is to be shown to the model: at most 512 pixels long, as large as the model takes it, or as the device allows. */
export type Detail = "low" | "high" | "auto";

/** How large a picture was shown to the model, in pixels, and the tokens that it took. */
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

/** A token of an answer, with the likeliest ones in its place. */
export interface TokenLogprob extends TopLogprob {
  top_logprobs: TopLogprob[];
}

/** Log probabilities of an answer, or of a piece of it; `null` where they were not asked for. */
export type Logprobs = { content: TokenLogprob[]; refusal: null } | null;

/** A call of a tool, as the OpenAI API has it. */
export interface ToolCall {
  id: string;
  type: "function";
  /** `arguments` is JSON that fits the function's schema, if the answer was not cut by its limit. */
  function: { name: string; arguments: string };
}

/** A piece of a call. Its first has the id and the name. */
export interface ToolCallDelta {
  /** Which call of the answer. */
  index: number;
  id?: string;
  type?: "function";
  function: { name?: string; arguments: string };
}

/** A complete answer, as the OpenAI API has it. */
export interface ChatCompletion {
  id: string;
  object: "chat.completion";
  /** Seconds since 1970. */
  created: number;
  model: string;
  choices: {
    index: number;
    /** `content` is `null` where there are calls alone. */
    message: {
      role: "assistant";
      content: string | null;
      /** What the model thought before it answered. Not in OpenAI's API. */
      reasoning_content?: string;
      refusal: null;
      tool_calls?: ToolCall[];
    };
    finish_reason: FinishReason;
    logprobs: Logprobs;
  }[];
  usage: Usage;
}

/** A piece of a streamed answer, as the OpenAI API has it. */
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

/** What one request has of its own. */
export interface RequestStamp {
  /** Letters and digits that no other request has. */
  id: string;
  /** Seconds since 1970. */
  created: number;
  /** The seed of a request that names none; 32 bits. */
  seed: number;
}

/** Under which names a model is served. */
export interface ServiceOptions {
  /** Its name in answers. */
  model: string;
  /** Names that requests may call it besides. */
  aliases: string[];
  /** Seconds since 1970. */
  created: number;
}

/** A picture that a request names, and where. */
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
  /** For the header `x-should-retry`. */
  may_retry: boolean | null;
}

/** Something that happened while an answer was computed. */
export type ChatEvent =
  /** `vision` counts layers of the vision tower, `prefill` tokens of the prompt. */
  | { kind: "progress"; stage: "vision" | "prefill"; done: number; total: number }
  /** The GPU device was lost, for example by a driver reset. It is opened again and the answer continues. */
  | { kind: "recovering"; attempt: number; reason: string }
  /** How large a picture of the request is shown to the model. */
  | ({ kind: "picture"; picture: number } & ShownPicture)
  /** Something about a picture that the user should know. */
  | { kind: "note"; picture: number; message: string }
  /** The conversation was too long for the context, and `truncation` is `auto`: so many of its oldest turns are left out. */
  | { kind: "truncated"; turns: number };

/** The same, and the messages of a stream: JSON, or `[DONE]`. */
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

/** Optional abilities of a GPU that kernels make use of. */
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

/** What the browser knows of the GPU and wgpu does not. */
export interface BrowserCaps {
  features: Features;
  /** Fewest and most lanes of a subgroup; `null` if unknown. */
  subgroupSizes: [number, number] | null;
}

/** A GPU, a processor that emulates one, or one that also compiles shaders slowly. */
export type DeviceClass = "hardware" | "software" | "slow_compiler";

/** How kernels are computed on a device. */
export interface KernelConfig {
  class: DeviceClass;
  /** Whether it is a GPU whose threads have few registers, as Intel's and Arm's. */
  fewRegisters: boolean;
  /** Features that kernels may use. */
  features: Features;
  /** The variant of each tuned family of kernels. 0: the default of the device's class. */
  variants: number[];
}

/** The outcome of running every kernel that the model needs on known numbers, before the model is loaded. */
export interface SelfTest {
  /** Kernels that compute correctly. */
  passed: number;
  /** Faster kernels that do not on this device, and are therefore not used. */
  failed: { kernel: string; tier: string; detail: string }[];
  kernelConfig: KernelConfig;
  /** Milliseconds, compiling included. */
  ms: number;
}

/** The GPU that a model runs on. */
export interface DeviceReport {
  /** Empty where the browser hides it. */
  name: string;
  backend: string;
  driver: string;
  maxStorageBufferBindingSize: number;
  maxBufferSize: number;
  class: DeviceClass;
  /** Optional abilities that the device has. */
  features: Features;
  /** Fewest and most lanes of a subgroup, as far as the platform tells. */
  subgroupSizes: [number, number];
  selfTest: SelfTest;
}

/** Number format of the KV cache: 32-bit floats, 16-bit floats, or 8-bit integers with scales. */
export type KvPrecision = "f32" | "f16" | "int8";

/** Where the weights of the vision tower are: always on the GPU, only while pictures are encoded, or uploaded layer by layer then. */
export type VisionResidency = "resident" | "dropped" | "streamed";

/** When faster kernel variants are searched for: on hardware, on every device, or never. */
export type Tune = "auto" | "always" | "never";

/** Numbers that kernels may compute with: 32-bit floats, or also 16-bit floats and 8-bit inputs. */
export type Arithmetic = "exact" | "fast";

/** When draft tokens from the conversation are verified several at a time: where that is faster, or never. */
export type Speculation = "auto" | "off";

/** What GPU memory is used for. */
export type MemoryPurpose = "text_weights" | "vision_weights" | "kv_cache" | "activations" | "features" | "staging";

/** How the model is run within its memory. All sizes in bytes. */
export interface MemoryPlan {
  /** What the caller allowed. */
  budget: number | null;
  /** Tokens that a conversation may hold. */
  context: number;
  kv: KvPrecision;
  /** How the vision tower keeps keys and values of a picture. */
  visionKv: KvPrecision;
  /** Whether keys and values keep the memory of empty pages while pictures are encoded. */
  keepsPages: boolean;
  /** Conversations beside the one that goes on whose states are kept, of a model with recurrent layers. */
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
  /** The most that each phase takes. */
  phases: { phase: "load" | "picture" | "text"; purposes: { purpose: MemoryPurpose; bytes: number }[]; total: number }[];
  /** The most at any time. */
  peak: number;
}

/** GPU memory: the plan, what is allocated now, and the most there was. All sizes in bytes. */
export interface MemoryReport {
  plan: MemoryPlan;
  purposes: { purpose: MemoryPurpose; current: number; peak: number }[];
  /** The most at any time, all purposes together. */
  peak: number;
  /** The largest size of the wasm module's memory, which is not on the GPU. */
  wasmBytes: number;
}

/** What tuning has found for a device and a model. */
export interface Tuned {
  variants: number[];
  tried: number;
  /** What the device computes of products, in 1e9 FLOP a second; 0 while it is not known. */
  gflops: number;
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

/** Compiles a shader, given which of its storage bindings from 1 on are only read, for the device that was opened last. */
export type CompileAhead = (name: string, code: string, readOnly: boolean[]) => Promise<void>;

/** `decodePicture` of the module that reads picture files: pixels of 3 bytes. What it throws is `{ code, message, detail }`. */
export type DecodePicture = (bytes: Uint8Array, megapixels: number) => { width: number; height: number; pixels: Uint8Array };

/** What loading needs beside the options. */
export interface LoadContext {
  browserCaps: BrowserCaps;
  /** Results of earlier tuning by their key. */
  known: Record<string, Tuned>;
}

/** The format that an answer must have: what makes a grammar of the module `ocelli_grammar`. */
export interface WantedFormat {
  kind: "json_schema" | "regex" | "lark" | "rules";
  text: string;
}

/** `Grammar` of that module. */
export type GrammarObject = object;
