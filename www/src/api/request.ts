/** Requests to the worker: JSON, and separately the pictures in their order. */
import { ocelliError, type OcelliError } from "../errors.js";
import { isNode } from "../node.js";
import { absoluteUrl, baseUrl } from "../url.js";
import type { RequestStamp } from "../wasm/ocelli.js";
import type { ApiRequest, PictureSource, WireRequest } from "../worker/protocol.js";
import type { ChatMessage, EmbeddingInput, EmbeddingRequest, ImagePart, OtherPart, PictureInput, TextPart } from "./openai.js";

/** A prompt to score: a conversation, or token ids in which the n-th run of image tokens represents `images[n]`. */
export type ScoreRequest = { messages: ChatMessage[] } | { input_ids: number[]; images?: PictureInput[] };

/** Id, time and seed of one request. The engine itself has no clock and no random numbers. */
export function requestStamp(): RequestStamp {
  const [seed = 0, ...words] = crypto.getRandomValues(new Uint32Array(4));
  const id = words.map((word) => word.toString(36).padStart(7, "0")).join("");
  return { id, created: Math.floor(Date.now() / 1000), seed };
}

/** A request to `path`. URLs of pictures stay in it; other pictures are sent along. Throws `invalid-request` if one is not a picture. */
export async function wireRequest(path: string, request: { messages?: ChatMessage[]; prompt?: string }): Promise<ApiRequest> {
  const { messages, pictures } = await extractPictures(request.messages, (url) => typeof url !== "string");
  const body = JSON.stringify({ ...request, messages });
  return { method: "POST", path, stamp: requestStamp(), base: base(), body, pictures, isBatch: false };
}

/** A request for embeddings. Throws `invalid-request` for a picture of the wrong type. */
export async function wireEmbeddingRequest(request: EmbeddingRequest): Promise<ApiRequest> {
  const pictures: PictureSource[] = [];
  const takes = (url: PictureInput) => typeof url !== "string";
  const extract = async (part: EmbeddingInput, path: string): Promise<unknown> =>
    typeof part === "string" ? part : extractPart(part, path, { pictures, takes });
  const extractAll = async (parts: readonly (EmbeddingInput | (TextPart | ImagePart)[])[], path: string): Promise<unknown[]> => {
    const extracted: unknown[] = [];
    for (const [index, part] of parts.entries()) {
      const place = `${path}[${index}]`;
      extracted.push(await (Array.isArray(part) ? extractAll(part, place) : extract(part, place)));
    }
    return extracted;
  };
  const { input } = request;
  const body = JSON.stringify({ ...request, input: await (Array.isArray(input) ? extractAll(input, "input") : extract(input, "input")) });
  return { method: "POST", path: "/v1/embeddings", stamp: requestStamp(), base: base(), body, pictures, isBatch: false };
}

/** The base of relative URLs. */
export function base(): string {
  return baseUrl() ?? "";
}

/** Throws `invalid-request` for a picture of the wrong type. */
export async function wireScoreRequest(request: ScoreRequest): Promise<WireRequest> {
  if ("messages" in request) {
    const { messages, pictures } = await extractPictures(request.messages, () => true);
    return { body: JSON.stringify({ ...request, messages }), pictures, base: base() };
  }
  const inputs = request.images ?? [];
  const pictures = await Promise.all(inputs.map((input, index) => pictureSource(input, `images[${index}]`)));
  return { body: JSON.stringify({ ...request, images: pictures.map((_, index) => pictureName(index)) }), pictures, base: base() };
}

/** Messages with `picture:i` in place of every picture for which `takes` returns true, and these pictures. */
async function extractPictures(
  messages: ChatMessage[] | undefined,
  takes: (url: PictureInput) => boolean,
): Promise<{ messages: unknown; pictures: PictureSource[] }> {
  const pictures: PictureSource[] = [];
  // Other shapes are passed on: the engine validates every message and reports errors.
  if (!Array.isArray(messages)) return { messages, pictures };
  const extracted: unknown[] = [];
  for (const [index, message] of messages.entries()) {
    extracted.push(await extractFromMessage(message, `messages[${index}]`, { pictures, takes }));
  }
  return { messages: extracted, pictures };
}

async function extractFromMessage(
  message: ChatMessage,
  path: string,
  { pictures, takes }: { pictures: PictureSource[]; takes: (url: PictureInput) => boolean },
): Promise<unknown> {
  if (typeof message !== "object" || message === null || !Array.isArray(message.content)) return message;
  const content: unknown[] = [];
  for (const [index, part] of message.content.entries()) {
    content.push(await extractPart(part, `${path}.content[${index}]`, { pictures, takes }));
  }
  return { ...message, content };
}

async function extractPart(
  part: TextPart | ImagePart | OtherPart,
  path: string,
  { pictures, takes }: { pictures: PictureSource[]; takes: (url: PictureInput) => boolean },
): Promise<unknown> {
  if (!isPicture(part) || !takes(part.image_url.url)) return part;
  const source = await pictureSource(part.image_url.url, `${path}.image_url.url`);
  const url = pictureName(pictures.length);
  pictures.push(source);
  return { ...part, image_url: { ...part.image_url, url } };
}

function pictureName(index: number): string {
  return `picture:${index}`;
}

function isPicture(part: { type: string }): part is ImagePart {
  const isObject = typeof part === "object" && part !== null;
  const { image_url } = part as Partial<ImagePart>;
  return isObject && part.type === "image_url" && typeof image_url === "object" && image_url !== null;
}

/** The picture in a form that can be sent to the worker. */
async function pictureSource(input: PictureInput, field: string): Promise<PictureSource> {
  if (typeof input === "string") return pictureUrl(input, field);
  if (isNode()) return ofProcess(input, field);
  if (input instanceof Blob || input instanceof ImageBitmap || input instanceof ImageData) return input;
  try {
    if (input instanceof HTMLImageElement) await input.decode();
    return await createImageBitmap(input);
  } catch (cause) {
    throw invalid(field, "neither a URL nor a picture that can be drawn now", cause);
  }
}

/** Blobs of files cannot be sent to a thread of Node, and it has no other pictures. */
async function ofProcess(input: PictureInput, field: string): Promise<Blob> {
  if (input instanceof Blob) return new Blob([await input.arrayBuffer()]);
  throw invalid(field, "neither a URL nor a Blob");
}

function pictureUrl(url: string, field: string): string {
  try {
    const absolute = absoluteUrl(url);
    if (/^(https?|data|blob):/.test(absolute)) return absolute;
  } catch {
    // Reported below, with the supported schemes.
  }
  throw invalid(field, "not a URL of scheme http(s), data or blob");
}

function invalid(field: string, reason: string, cause?: unknown): OcelliError {
  return ocelliError("invalid-request", `${field}: ${reason}`, { field, reason }, cause);
}
