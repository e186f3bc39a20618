/** Requests and responses in the shape of OpenAI's chat completions. What the engine does not support, it rejects by name. */

/** Where a picture may come from. Strings are URLs: `data:`, `blob:`, `http(s):`, or relative to the page. */
export type PictureInput = string | Blob | ImageBitmap | ImageData | HTMLCanvasElement | OffscreenCanvas | HTMLImageElement;

export interface TextPart {
  type: "text";
  text: string;
}

export interface ImagePart {
  type: "image_url";
  /** `detail` is accepted and without effect: pictures are looked at in full. */
  image_url: { url: PictureInput; detail?: "auto" | "low" | "high" };
}

export interface SystemMessage {
  role: "system" | "developer";
  content: string | TextPart[];
}

export interface UserMessage {
  role: "user";
  content: string | (TextPart | ImagePart)[];
}

export interface AssistantMessage {
  role: "assistant";
  content: string | TextPart[];
}

export type ChatMessage = SystemMessage | UserMessage | AssistantMessage;

export interface ChatCompletionRequest {
  messages: ChatMessage[];
  model?: string;
  stream?: boolean;
  stream_options?: { include_usage?: boolean };
  temperature?: number;
  top_p?: number;
  top_k?: number;
  min_p?: number;
  max_tokens?: number;
  max_completion_tokens?: number;
  stop?: string | string[];
  seed?: number;
  frequency_penalty?: number;
  presence_penalty?: number;
}

export type FinishReason = "stop" | "length";

export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  prompt_tokens_details: { cached_tokens: number };
  /** Tokens that were guessed from the conversation: those that the answer has, and those that it has not. */
  completion_tokens_details: { accepted_prediction_tokens: number; rejected_prediction_tokens: number };
}

export interface ChatCompletion {
  id: string;
  object: "chat.completion";
  /** Seconds since 1970. */
  created: number;
  model: string;
  choices: {
    index: number;
    message: { role: "assistant"; content: string; refusal: null };
    finish_reason: FinishReason;
    logprobs: null;
  }[];
  usage: Usage;
}

export interface ChatCompletionChunk {
  id: string;
  object: "chat.completion.chunk";
  created: number;
  model: string;
  choices: {
    index: number;
    delta: { role?: "assistant"; content?: string };
    finish_reason: FinishReason | null;
    logprobs: null;
  }[];
  /** In the last chunk, where `stream_options.include_usage` asks for it. */
  usage?: Usage | null;
}
