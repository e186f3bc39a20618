/** Requests as they are sent to the worker: JSON, and apart from it the pictures in their order. */
import { ocelliError, type OcelliError } from "../errors.js";
import { absoluteUrl } from "../url.js";
import type { AnswerStamp } from "../wasm/ocelli.js";
import type { PictureSource, WireRequest } from "../worker/protocol.js";
import type { ChatCompletionRequest, ChatMessage, ImagePart, PictureInput, TextPart } from "./openai.js";

/** A prompt whose logits are wanted: a conversation, or token ids in which the n-th run of image tokens stands for `images[n]`. */
export type ScoreRequest = { messages: ChatMessage[] } | { input_ids: number[]; images?: PictureInput[] };

/** What the chunks of a new answer share. The engine itself has no clock and no random numbers. */
export function answerStamp(model: string): AnswerStamp {
  const random = crypto.getRandomValues(new Uint32Array(3));
  const id = Array.from(random, (word) => word.toString(36).padStart(7, "0")).join("");
  return { id: `chatcmpl-${id}`, created: Math.floor(Date.now() / 1000), model };
}

/** Throws `invalid-request` for a picture of the wrong type. */
export async function wireChatRequest(request: ChatCompletionRequest): Promise<WireRequest> {
  const { messages, pictures } = await extractPictures(request.messages);
  // Without a seed every answer is sampled anew, as in OpenAI's API.
  const seed = crypto.getRandomValues(new Uint32Array(1))[0];
  return { body: JSON.stringify({ seed, ...request, messages }), pictures };
}

/** Throws `invalid-request` for a picture of the wrong type. */
export async function wireScoreRequest(request: ScoreRequest): Promise<WireRequest> {
  if ("messages" in request) {
    const { messages, pictures } = await extractPictures(request.messages);
    return { body: JSON.stringify({ ...request, messages }), pictures };
  }
  const inputs = request.images ?? [];
  const pictures = await Promise.all(inputs.map((input, index) => pictureSource(input, `images[${index}]`)));
  return { body: JSON.stringify({ ...request, images: pictures.map((_, index) => pictureName(index)) }), pictures };
}

async function extractPictures(messages: ChatMessage[]): Promise<{ messages: unknown[]; pictures: PictureSource[] }> {
  const pictures: PictureSource[] = [];
  const extracted: unknown[] = [];
  for (const [index, message] of listOf(messages).entries()) {
    extracted.push(await extractFromMessage(message, `messages[${index}]`, pictures));
  }
  return { messages: extracted, pictures };
}

async function extractFromMessage(message: ChatMessage, path: string, pictures: PictureSource[]): Promise<unknown> {
  // Other shapes are passed on: the engine validates every message and names what is wrong.
  if (typeof message !== "object" || message === null || !Array.isArray(message.content)) return message;
  const content: unknown[] = [];
  for (const [index, part] of message.content.entries()) {
    if (!isPicture(part)) {
      content.push(part);
      continue;
    }
    const source = await pictureSource(part.image_url.url, `${path}.content[${index}].image_url.url`);
    content.push({ ...part, image_url: { ...part.image_url, url: pictureName(pictures.length) } });
    pictures.push(source);
  }
  return { ...message, content };
}

function pictureName(index: number): string {
  return `picture:${index}`;
}

function isPicture(part: TextPart | ImagePart): part is ImagePart {
  const isObject = typeof part === "object" && part !== null;
  return isObject && part.type === "image_url" && typeof part.image_url === "object" && part.image_url !== null;
}

/** The picture in a form that can be sent to the worker. */
async function pictureSource(input: PictureInput, field: string): Promise<PictureSource> {
  if (typeof input === "string") return pictureUrl(input, field);
  if (input instanceof Blob || input instanceof ImageBitmap || input instanceof ImageData) return input;
  try {
    return await createImageBitmap(input);
  } catch (cause) {
    throw invalid(field, "neither a URL nor a picture", cause);
  }
}

function pictureUrl(url: string, field: string): string {
  try {
    const absolute = absoluteUrl(url);
    if (/^(https?|data|blob):/.test(absolute)) return absolute;
  } catch {
    // Reported below, with the schemes that are supported.
  }
  throw invalid(field, "not a URL of scheme http(s), data or blob");
}

function listOf(messages: ChatMessage[]): ChatMessage[] {
  if (!Array.isArray(messages)) throw invalid("messages", "not a list");
  return messages;
}

function invalid(field: string, reason: string, cause?: unknown): OcelliError {
  return ocelliError("invalid-request", `${field}: ${reason}`, { field, reason }, cause);
}
