/** The OpenAI API's chat completions. The engine refuses fields that it does not support, by name. */
import type { Detail, Limit, ToolCall } from "../wasm/ocelli.js";

export type {
  ChatCompletion,
  ChatCompletionChunk,
  Detail,
  FinishReason,
  Logprobs,
  ShownPicture,
  TokenLogprob,
  ToolCall,
  ToolCallDelta,
  TopLogprob,
  Usage,
} from "../wasm/ocelli.js";

/**
 * Source of a picture: an address (`data:`, `blob:`, `http(s):`, or relative to the page), or anything that a page can draw: a `Blob`,
 * `<img>`, `<canvas>` or `<video>` (its current frame), an `ImageBitmap`, `ImageData`, `OffscreenCanvas` or `VideoFrame`.
 */
export type PictureInput = string | ImageBitmapSource;

/** Text of a message. */
export interface TextPart {
  type: "text";
  text: string;
}

/** A picture of a message. */
export interface ImagePart {
  type: "image_url";
  /**
   * `detail`: `low` shows at most 512 pixels of the longer edge, `high` and `original` as many as the model takes, `auto` (the default) as
   * many as the device computes in time, see `LoadOptions.maxPictureSeconds`. `usage.ocelli.pictures` reports the chosen size.
   * SmolVLM and Granite-Docling enlarge every picture and split it into up to 16 tiles, except with `low`, which shows it as one.
   * MiniCPM-V shows large pictures in up to nine slices as well, except with `low`.
   */
  image_url: { url: PictureInput; detail?: Detail | "original" | undefined };
}

/** A part of the OpenAI API that the engine refuses; declared so that messages written for that API compile. */
export interface OtherPart {
  type: "input_audio" | "file" | "refusal";
}

/** Instructions that precede the conversation. */
export interface SystemMessage {
  role: "system" | "developer";
  content: string | TextPart[];
  /** Without effect. */
  name?: string;
}

/** A message of the user. */
export interface UserMessage {
  role: "user";
  content: string | (TextPart | ImagePart | OtherPart)[];
  /** Without effect. */
  name?: string;
}

/** An earlier answer. If it is the last message, the answer continues it (prefill). */
export interface AssistantMessage {
  role: "assistant";
  content?: string | (TextPart | OtherPart)[] | null;
  /** Without effect. */
  name?: string;
  refusal?: string | null;
  /** Reasoning before the answer. The model sees only the reasoning after the last user message. Not in OpenAI's API. */
  reasoning_content?: string | null;
  /** Tool calls. As many tool messages follow. */
  tool_calls?: (ToolCall | CustomCall)[] | null;
}

/** A call of the OpenAI API that the engine refuses, as it does its tools. */
interface CustomCall {
  id: string;
  type: "custom";
}

/** The result of a tool call. */
export interface ToolMessage {
  role: "tool";
  /** Id of the call. */
  tool_call_id: string;
  /** Pictures are for models that see them in results: Qwen3.5 and Qwen3-VL. */
  content: string | (TextPart | ImagePart)[];
}

/** A message of the OpenAI API that the engine refuses: functions are called as tools. */
export interface FunctionMessage {
  role: "function";
  content: string | null;
}

/** A message of a conversation. */
export type ChatMessage = SystemMessage | UserMessage | AssistantMessage | ToolMessage | FunctionMessage;

/** A function that the model may call. Its arguments fit `parameters`, strict or not. */
export interface FunctionTool {
  type: "function";
  function: { name: string; description?: string; parameters?: Record<string, unknown>; strict?: boolean | null };
}

/** A function by name. */
interface NamedFunction {
  type: "function";
  function: { name: string };
}

/** A tool of the OpenAI API that the engine refuses. */
interface CustomTool {
  type: "custom";
}

/** Choice of tools: any or none, none, at least one, this one, or some of these. */
export type ToolChoice =
  | "auto"
  | "none"
  | "required"
  | NamedFunction
  | CustomTool
  | { type: "allowed_tools"; allowed_tools: { mode: "auto" | "required"; tools: Record<string, unknown>[] } };

/** The format that an answer must have. */
export type ResponseFormat = { type: "text" } | (JsonFormat & InPrompt);

/** Formats that can be enforced. */
type JsonFormat =
  | { type: "json_object" }
  | {
      type: "json_schema";
      /** Every schema is enforced, strict or not. Keys are in its order. */
      json_schema: { name: string; description?: string; strict?: boolean | null; schema?: Record<string, unknown> };
    }
  /** A regular expression that matches the whole answer. Not in OpenAI's API. */
  | { type: "regex"; regex: string }
  /** A grammar in llguidance's variant of Lark. Not in OpenAI's API. */
  | { type: "lark"; lark: string };

interface InPrompt {
  /** Tells the model the format in the last user message. Default true. Not in OpenAI's API. */
  in_prompt?: boolean;
}

/** A request for an answer. The fields have the meaning of the OpenAI API; defaults are the recommendations of the model's publisher. */
export interface ChatCompletionRequest {
  messages: ChatMessage[];
  /** The name or an alias of the loaded model. */
  model?: string;
  stream?: boolean | null;
  stream_options?: { include_usage?: boolean; include_obfuscation?: boolean } | null;
  /** From 0, always the likeliest token, to 2. */
  temperature?: number | null;
  /** From 0 to 1. */
  top_p?: number | null;
  /** At least 1. Not in OpenAI's API. */
  top_k?: number | null;
  /** From 0 to 1. Not in OpenAI's API. */
  min_p?: number | null;
  max_tokens?: number | null;
  max_completion_tokens?: number | null;
  /** At most 16 strings. */
  stop?: string | string[] | null;
  seed?: number | null;
  /** From -2 to 2. */
  frequency_penalty?: number | null;
  /** From -2 to 2. */
  presence_penalty?: number | null;
  /** From 0.01 to 100: divides positive logits of tokens that the prompt or the answer contains, and multiplies others. Default 1. */
  repetition_penalty?: number | null;
  /** By token id, from -100 to 100. */
  logit_bias?: Record<string, number> | null;
  /** `auto` drops the oldest turns of a conversation that is too long, see `docs/api.md`. Default `disabled`. */
  truncation?: "auto" | "disabled" | null;
  /** Number of answers, from 1 to 128. They share the prompt's computation; the i-th has the seed `seed + i`. */
  n?: number | null;
  /** Returns log probabilities of the answer's tokens. */
  logprobs?: boolean | null;
  /** Number of the likeliest tokens whose log probabilities are returned too, up to 20. */
  top_logprobs?: number | null;
  /** Format of the answer; it is enforced. */
  response_format?: ResponseFormat | null;
  /** Functions that the model may call, at most 128. */
  tools?: (FunctionTool | CustomTool)[] | null;
  tool_choice?: ToolChoice | null;
  /** Allows several calls in one answer. Default true. */
  parallel_tool_calls?: boolean | null;
  /** Limit of the reasoning before the answer, for models that reason: none, at most 1024 or 8192 tokens, or no limit. */
  reasoning_effort?: "none" | "minimal" | "low" | "medium" | "high" | "xhigh" | "max" | "auto" | null;
  /** Turns reasoning on or off. Not in OpenAI's API. */
  enable_thinking?: boolean | null;
  /** The same in the form of vLLM. */
  chat_template_kwargs?: { enable_thinking?: boolean; thinking_budget?: number } | null;
  /** The most tokens of reasoning. Not in OpenAI's API. */
  thinking_budget?: number | null;
  /** Only text. */
  modalities?: ("text" | "audio")[] | null;
  /** The key of the budget, see `LoadOptions.budgets`. */
  user?: string;
  /** The key of the budget; takes precedence over `user`. */
  safety_identifier?: string | null;
  /** Budget of this request. Not in OpenAI's API. */
  budget?: Limit | null;
  /** Without effect, like the next four. */
  metadata?: Record<string, string> | null;
  store?: boolean | null;
  service_tier?: string | null;
  prompt_cache_key?: string | null;
  verbosity?: string | null;
}

/** An input of an embedding: a text, or a part of a message. */
export type EmbeddingInput = string | TextPart | ImagePart;

/** A request for embeddings. */
export interface EmbeddingRequest {
  /** One input, or a list; a list within the list is one input of several parts, such as a picture with its caption. */
  input: EmbeddingInput | (EmbeddingInput | (TextPart | ImagePart)[])[];
  /** The model's name, if it must be this one. */
  model?: string;
  /** The task, such as "Retrieve images or text relevant to the user's query." By default the model's own. Not in OpenAI's API. */
  instruction?: string;
  /** Numbers of an embedding: fewer than the model's, if it was trained for that. */
  dimensions?: number;
  /** `base64`: 32-bit floats, little-endian. Default `float`. */
  encoding_format?: "float" | "base64";
  user?: string;
  safety_identifier?: string;
}

/** Embeddings in the order of the inputs, each of unit length: their cosine is their dot product. */
export interface EmbeddingList {
  object: "list";
  data: { object: "embedding"; index: number; embedding: number[] | string }[];
  model: string;
  usage: { prompt_tokens: number; total_tokens: number };
}
