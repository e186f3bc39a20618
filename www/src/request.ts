/** A request taken apart: JSON for the engine, and the pictures in the order in which the JSON names them. */
import { OcelliError, ocelliError } from "./errors.js";
import type { ChatCompletionRequest, ChatMessage, ImagePart, PictureInput, TextPart } from "./openai.js";
import type { PictureSource } from "./protocol.js";

export interface WireRequest {
  /** The request as JSON; each picture's URL is `picture:` and its place in `pictures`. */
  body: string;
  pictures: PictureSource[];
}

/** A prompt to look at: a conversation, or token ids whose runs of picture tokens take `images` in order. */
export type ScoreRequest = { messages: ChatMessage[] } | { input_ids: number[]; images?: PictureInput[] };

/** Throws `invalid-request` for a picture that is none. */
export async function wireChatRequest(request: ChatCompletionRequest): Promise<WireRequest> {
  const { messages, pictures } = await withoutAllPictures(request.messages);
  // Without a seed every answer is drawn anew, as in OpenAI's API; the engine itself has no source of chance.
  const seed = crypto.getRandomValues(new Uint32Array(1))[0];
  return { body: JSON.stringify({ seed, ...request, messages }), pictures };
}

/** Throws `invalid-request` for a picture that is none. */
export async function wireScoreRequest(request: ScoreRequest): Promise<WireRequest> {
  if ("messages" in request) {
    const { messages, pictures } = await withoutAllPictures(request.messages);
    return { body: JSON.stringify({ ...request, messages }), pictures };
  }
  const inputs = request.images ?? [];
  const pictures = await Promise.all(inputs.map((input, index) => pictureSource(input, `images[${index}]`)));
  return { body: JSON.stringify({ ...request, images: pictures.map((_, index) => pictureName(index)) }), pictures };
}

async function withoutAllPictures(messages: ChatMessage[]): Promise<{ messages: unknown[]; pictures: PictureSource[] }> {
  const pictures: PictureSource[] = [];
  const without: unknown[] = [];
  for (const [index, message] of listOf(messages).entries()) {
    without.push(await withoutPictures(message, `messages[${index}]`, pictures));
  }
  return { messages: without, pictures };
}

async function withoutPictures(message: ChatMessage, path: string, pictures: PictureSource[]): Promise<unknown> {
  // The engine says what is wrong with a message that is no object: it sees all requests, this only some.
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

/** Something that can be sent to the worker. */
async function pictureSource(input: PictureInput, field: string): Promise<PictureSource> {
  if (typeof input === "string") return absoluteUrl(input, field);
  if (input instanceof Blob || input instanceof ImageBitmap || input instanceof ImageData) return input;
  try {
    return await createImageBitmap(input);
  } catch (cause) {
    throw invalid(field, "neither a URL nor a picture", cause);
  }
}

function absoluteUrl(url: string, field: string): string {
  try {
    const absolute = new URL(url, globalThis.document?.baseURI ?? globalThis.location?.href);
    if (["http:", "https:", "data:", "blob:"].includes(absolute.protocol)) return absolute.href;
  } catch {
    // Told below, with the schemes that are understood.
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
