/** Compiled, never run: inputs of OpenAI's types are accepted, and results have OpenAI's types. */
import type OpenAI from "openai";
import type { ChatCompletion, ChatCompletionChunk, ChatCompletionRequest, ChatMessage, ChatStream, Engine } from "../src/index.js";

declare const engine: Engine;
declare const theirs: {
  messages: OpenAI.ChatCompletionMessageParam[];
  params: OpenAI.ChatCompletionCreateParams;
  plain: OpenAI.ChatCompletionCreateParamsNonStreaming;
  streaming: OpenAI.ChatCompletionCreateParamsStreaming;
  take(completion: OpenAI.ChatCompletion, chunk: OpenAI.ChatCompletionChunk): void;
};
declare const ours: { completion: ChatCompletion; chunk: ChatCompletionChunk; stream: boolean };

export const messages: ChatMessage[] = theirs.messages;
export const request: ChatCompletionRequest = theirs.params;
theirs.take(ours.completion, ours.chunk);
export const plain: Promise<ChatCompletion> = engine.chat.completions.create(theirs.plain);
export const streaming: Promise<ChatStream> = engine.chat.completions.create(theirs.streaming);
export const either: Promise<ChatCompletion | ChatStream> = engine.chat.completions.create({
  messages: theirs.messages,
  stream: ours.stream,
  n: 2,
  logit_bias: { "7": -1 },
  user: "someone",
  response_format: null,
});
/** Messages without pictures other than URLs also have OpenAI's types. */
export const text: OpenAI.ChatCompletionMessageParam[] = [
  { role: "system", content: "a" },
  { role: "user", content: "a" },
  { role: "assistant", content: "a" },
] satisfies ChatMessage[];
