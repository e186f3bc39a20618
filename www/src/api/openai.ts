/** The OpenAI API's chat completions. The engine refuses fields that it does not support, by name. */
import type { ChatCompletion, ChatCompletionChunk, Detail, FinishReason, ShownPicture, Usage } from "../wasm/ocelli.js";

export type { ChatCompletion, ChatCompletionChunk, Detail, FinishReason, ShownPicture, Usage };

/** Where a picture may come from. Strings are URLs: `data:`, `blob:`, `http(s):`, or relative to the page. */
export type PictureInput = string | Blob | ImageBitmap | ImageData | HTMLCanvasElement | OffscreenCanvas | HTMLImageElement;

/** Text of a message. */
export interface TextPart {
  type: "text";
  text: string;
}

/** A picture of a message. */
export interface ImagePart {
  type: "image_url";
  /**
   * `detail`: `low` shows at most 512 pixels of the longer edge, `high` as many as the model takes, `auto` (the default) as many as the
   * device computes in time, see `LoadOptions.maxPictureSeconds`. `usage.ocelli.pictures` says what became of it.
   */
  image_url: { url: PictureInput; detail?: Detail };
}

/** Instructions that precede the conversation. */
export interface SystemMessage {
  role: "system" | "developer";
  content: string | TextPart[];
}

/** What the user asks. */
export interface UserMessage {
  role: "user";
  content: string | (TextPart | ImagePart)[];
}

/** An earlier answer. */
export interface AssistantMessage {
  role: "assistant";
  content: string | TextPart[];
}

/** A message of a conversation. */
export type ChatMessage = SystemMessage | UserMessage | AssistantMessage;

/** A request for an answer. The fields mean what they do in the OpenAI API. */
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
