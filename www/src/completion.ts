/** The engine's results in OpenAI's shape. */
import type { ChatCompletion, ChatCompletionChunk, Usage } from "./openai.js";
import type { CompletionResult } from "./protocol.js";

/** What all parts of one answer share. */
export interface AnswerHead {
  id: string;
  created: number;
  model: string;
}

export function answerHead(model: string): AnswerHead {
  const random = crypto.getRandomValues(new Uint32Array(3));
  const id = Array.from(random, (word) => word.toString(36).padStart(7, "0")).join("");
  return { id: `chatcmpl-${id}`, created: Math.floor(Date.now() / 1000), model };
}

export function completion(head: AnswerHead, result: CompletionResult): ChatCompletion {
  const message = { role: "assistant" as const, content: result.text, refusal: null };
  return {
    ...head,
    object: "chat.completion",
    choices: [{ index: 0, message, finish_reason: result.finish_reason, logprobs: null }],
    usage: usage(result),
  };
}

/** The chunk that opens an answer. */
export function firstChunk(head: AnswerHead): ChatCompletionChunk {
  return chunk(head, { role: "assistant", content: "" }, null);
}

export function textChunk(head: AnswerHead, content: string): ChatCompletionChunk {
  return chunk(head, { content }, null);
}

/** The chunk that ends an answer. */
export function lastChunk(head: AnswerHead, result: CompletionResult): ChatCompletionChunk {
  return chunk(head, {}, result.finish_reason);
}

/** The chunk without choices that `stream_options.include_usage` asks for. */
export function usageChunk(head: AnswerHead, result: CompletionResult): ChatCompletionChunk {
  return { ...head, object: "chat.completion.chunk", choices: [], usage: usage(result) };
}

function chunk(
  head: AnswerHead,
  delta: ChatCompletionChunk["choices"][number]["delta"],
  finish_reason: "stop" | "length" | null,
): ChatCompletionChunk {
  return { ...head, object: "chat.completion.chunk", choices: [{ index: 0, delta, finish_reason, logprobs: null }] };
}

function usage({ usage }: CompletionResult): Usage {
  const { prompt_tokens, completion_tokens, cached_tokens, drafted_tokens, accepted_tokens } = usage;
  return {
    prompt_tokens,
    completion_tokens,
    total_tokens: prompt_tokens + completion_tokens,
    prompt_tokens_details: { cached_tokens },
    completion_tokens_details: {
      accepted_prediction_tokens: accepted_tokens,
      rejected_prediction_tokens: drafted_tokens - accepted_tokens,
    },
  };
}
