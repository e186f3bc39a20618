/** A model on a server with OpenAI's API, with the methods of an engine that the page uses. */
import type { BatchAnswer, BatchOptions, BatchSource, ChatCompletionRequest, ChatMessage } from "../../src/index.js";
import { OcelliError } from "../../src/index.js";
import type { PageEngine } from "../state/page-engine.js";
import type { Server } from "../state/server.js";
import { lateWordsLoaded } from "../words/language.js";
import { errorIn, Fault, refusal } from "./fault.js";
import { request, type Response } from "./wire.js";

type Create = PageEngine["chat"]["completions"]["create"];
type Chunk = Awaited<ReturnType<Create>> extends infer Result ? (Result extends AsyncIterable<infer Each> ? Each : never) : never;

/** Time between two requests to a server that loads its model. */
const LOADING_MS = 1000;

/** A model that a server offers. */
export interface Offered {
  id: string;
  /** It runs this project's engine, which knows fields of its own. */
  isOwn: boolean;
}

/** The models of a server. Throws a `Fault` if it does not tell them. */
export async function modelsOf(server: Server, signal: AbortSignal): Promise<Offered[]> {
  await lateWordsLoaded();
  const response = await send(server, "v1/models", {}, signal);
  const text = await whole(response);
  try {
    const { data } = JSON.parse(text) as { data: { id: string; owned_by?: string }[] };
    return data.map(({ id, owned_by }) => ({ id: String(id), isOwn: owned_by === "ocelli" }));
  } catch {
    throw new Fault("notFound", server.address, text.slice(0, 300));
  }
}

/** Asks for one token, to see that answers are streamed. */
export async function testAnswer(server: Server, signal: AbortSignal): Promise<void> {
  const body = { model: server.model, messages: [{ role: "user", content: "Hi" }], max_tokens: 1, stream: true };
  for await (const _ of chunksOf(server, body, signal));
}

/** Connects to a server: its model answers from then on. */
export async function connect(server: Server, signal: AbortSignal): Promise<PageEngine> {
  const offered = await modelsOf(server, signal);
  const model = offered.find(({ id }) => id === server.model) ?? offered[0];
  return engineOf({ ...server, model: model?.id ?? server.model }, model?.isOwn ?? false);
}

function engineOf(server: Server, isOwn: boolean): PageEngine {
  const all = new AbortController();
  const stopOf = (signal?: AbortSignal) => (signal ? AbortSignal.any([signal, all.signal]) : all.signal);
  const create = async (asked: ChatCompletionRequest, options: { signal?: AbortSignal } = {}) => {
    const body = await bodyOf(asked, server, isOwn);
    const stop = stopOf(options.signal);
    if (asked.stream) return chunksOf(server, body, stop);
    return JSON.parse(await whole(await post(server, body, stop))) as unknown;
  };
  return {
    name: server.model,
    packageUrl: server.address,
    device: null,
    chat: { completions: { create: create as Create } },
    batch: (source, options) => batch(server, isOwn, source, { ...options, signal: stopOf(options?.signal) }),
    tokenize: () => Promise.reject(new OcelliError({ code: "unknown-url", message: "tokens of a server are not counted", detail: null })),
    clearCache: () => Promise.resolve(0),
    unload: () => all.abort(),
  };
}

/** Answers one request after another. A fault that is not a picture's ends the batch. */
async function* batch(
  server: Server,
  isOwn: boolean,
  source: BatchSource,
  { signal = new AbortController().signal }: BatchOptions,
): AsyncGenerator<BatchAnswer, void, void> {
  for await (const line of source) {
    if (typeof line === "string") continue;
    const answer = (status: number, body: Record<string, unknown>): BatchAnswer => ({
      id: line.custom_id,
      custom_id: line.custom_id,
      response: { status_code: status, request_id: line.custom_id, body },
      error: null,
    });
    try {
      const body = await bodyOf(line.body as unknown as ChatCompletionRequest, server, isOwn);
      yield answer(200, JSON.parse(await whole(await post(server, body, signal))) as Record<string, unknown>);
    } catch (thrown) {
      if (!(thrown instanceof OcelliError) || thrown instanceof Fault) throw thrown;
      yield answer(400, { error: { code: thrown.code, message: thrown.message } });
    }
  }
}

function post(server: Server, body: object, signal: AbortSignal): Promise<Response> {
  return send(server, "v1/chat/completions", { method: "POST", body: JSON.stringify(body) }, signal);
}

/** Waits while the server loads its model. Throws a `Fault` or the error that the server tells if it does not succeed. */
async function send(
  { address, key }: Pick<Server, "address" | "key">,
  path: string,
  init: RequestInit,
  signal: AbortSignal,
): Promise<Response> {
  // Other characters cannot be in a header.
  if (!/^[!-~]*$/.test(key)) throw new Fault("key", address);
  const headers = { ...(init.body ? { "content-type": "application/json" } : {}), ...(key ? { authorization: `Bearer ${key}` } : {}) };
  const response = await request(address + path, { ...init, headers }, signal);
  if (response.status === 200) return response;
  const text = await whole(response);
  if (errorIn(text).code !== "loading") throw refusal(response.status, address, text);
  await new Promise((resolve) => setTimeout(resolve, LOADING_MS));
  return send({ address, key }, path, init, signal);
}

async function whole({ parts }: Response): Promise<string> {
  let text = "";
  for await (const part of parts) text += part;
  return text;
}

/** The chunks of a streamed answer, which ends with `[DONE]` or, from some servers, with the reason of its end. */
async function* chunksOf(server: Server, body: object, signal: AbortSignal): AsyncGenerator<Chunk, void, void> {
  const response = await post(server, body, signal);
  if (!response.type.startsWith("text/event-stream")) {
    response.end();
    throw new Fault("stream", server.address, response.type);
  }
  let [rest, isFinished] = ["", false];
  for await (const part of response.parts) {
    const lines = (rest + part).split(/\r?\n/);
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const data = /^data: ?(.*)/.exec(line)?.[1];
      if (data === undefined) continue;
      if (data === "[DONE]") return;
      const chunk = chunkIn(data, server);
      isFinished ||= chunk.choices.some(({ finish_reason }) => finish_reason);
      yield chunk;
    }
  }
  if (!isFinished) throw new Fault("cut", server.address);
}

function chunkIn(data: string, { address }: Server): Chunk {
  try {
    const chunk = JSON.parse(data) as Chunk & { error?: unknown };
    if (!chunk.error) return { ...chunk, choices: chunk.choices ?? [] };
  } catch {
    throw new Fault("cut", address, data.slice(0, 300));
  }
  const { code, message } = errorIn(data);
  throw code === "context_length_exceeded" ? refusal(400, address, data) : new Fault("cut", address, message);
}

/** The request as the server reads it: pictures are in it, and only this project's engine is asked for its own fields. */
async function bodyOf(asked: ChatCompletionRequest, { model }: Server, isOwn: boolean): Promise<object> {
  const messages = await Promise.all(asked.messages.map(withPictures));
  const body = { ...asked, messages, model };
  if (isOwn) return body;
  const { truncation: _, enable_thinking: __, reasoning_effort: ___, response_format: format, ...others } = body;
  const schema = format && "json_schema" in format ? { ...format, json_schema: { ...format.json_schema, in_prompt: undefined } } : format;
  return { ...others, response_format: schema };
}

async function withPictures(message: ChatMessage): Promise<object> {
  if (!Array.isArray(message.content)) return message;
  const content = message.content.map(async (part) => {
    if (part.type !== "image_url") return part;
    const { url } = part.image_url;
    const blob = url instanceof Blob ? url : await (await fetch(url as string)).blob();
    return { ...part, image_url: { ...part.image_url, url: await dataUrl(await typed(blob)) } };
  });
  return { ...message, content: await Promise.all(content) };
}

/** The beginnings of picture files. */
const BEGINNINGS: readonly (readonly [type: string, beginning: RegExp])[] = [
  ["image/png", /^\x89PNG/],
  ["image/jpeg", /^\xff\xd8/],
  ["image/gif", /^GIF8/],
  ["image/webp", /^RIFF.{4}WEBP/s],
];

/** A picture with the type of what is in it: servers go by that, and files may come without one. */
async function typed(blob: Blob): Promise<Blob> {
  const head = String.fromCharCode(...new Uint8Array(await blob.slice(0, 12).arrayBuffer()));
  const [type = blob.type] = BEGINNINGS.find(([, beginning]) => beginning.test(head)) ?? [];
  return blob.slice(0, blob.size, type);
}

function dataUrl(blob: Blob): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result as string);
    reader.onerror = () => reject(reader.error ?? new Error("a picture could not be read"));
    reader.readAsDataURL(blob);
  });
}
