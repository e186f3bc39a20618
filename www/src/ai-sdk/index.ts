/** A provider of Vercel's AI SDK that runs an engine, without the detour of an HTTP client. */
import type {
  JSONObject,
  LanguageModelV4,
  LanguageModelV4CallOptions,
  LanguageModelV4Content,
  LanguageModelV4FinishReason,
  LanguageModelV4Usage,
} from "@ai-sdk/provider";
import type { Engine, FinishReason, Usage } from "../index.js";
import { chatRequest, PROVIDER } from "./request.js";
import { streamParts } from "./stream.js";

/** The engine as a language model of the AI SDK: `generateText({ model: ocelli(engine), ... })`. */
export function ocelli(engine: Engine): LanguageModelV4 {
  return {
    specificationVersion: "v4",
    provider: PROVIDER,
    modelId: engine.model,
    // The engine reads every address that the page can read.
    supportedUrls: { "image/*": [/^https?:/, /^blob:/, /^data:/] },

    async doGenerate(options: LanguageModelV4CallOptions) {
      const { request, warnings } = chatRequest(options);
      const answer = await engine.chat.completions.create({ ...request, stream: false }, signalOf(options));
      const [choice] = answer.choices;
      const content: LanguageModelV4Content[] = [];
      const { reasoning_content, content: text, tool_calls = [] } = choice?.message ?? { content: null };
      if (reasoning_content) content.push({ type: "reasoning", text: reasoning_content });
      if (text) content.push({ type: "text", text });
      for (const { id, function: called } of tool_calls) {
        content.push({ type: "tool-call", toolCallId: id, toolName: called.name, input: called.arguments });
      }
      return {
        content,
        finishReason: finishReason(choice?.finish_reason ?? null),
        usage: usage(answer.usage),
        providerMetadata: metadata(answer.usage),
        response: { id: answer.id, modelId: answer.model, timestamp: new Date(answer.created * 1000) },
        warnings,
      };
    },

    async doStream(options: LanguageModelV4CallOptions) {
      const { request, warnings } = chatRequest(options);
      const asked = { ...request, stream: true, stream_options: { include_usage: true } } as const;
      const chunks = await engine.chat.completions.create(asked, signalOf(options));
      const finish = (reason: FinishReason | null, used: Usage | null) => ({
        type: "finish" as const,
        finishReason: finishReason(reason),
        usage: usage(used),
        ...(used && { providerMetadata: metadata(used) }),
      });
      return { stream: streamParts(chunks, { warnings, finish, isRaw: options.includeRawChunks === true }) };
    },
  };
}

function signalOf({ abortSignal }: LanguageModelV4CallOptions): { signal?: AbortSignal } {
  return abortSignal ? { signal: abortSignal } : {};
}

function finishReason(reason: FinishReason | null): LanguageModelV4FinishReason {
  const unified = { stop: "stop", length: "length", tool_calls: "tool-calls" } as const;
  return { unified: reason ? unified[reason] : "interrupted", raw: reason ?? undefined };
}

function usage(used: Usage | null): LanguageModelV4Usage {
  if (!used) {
    const inputTokens = { total: undefined, noCache: undefined, cacheRead: undefined, cacheWrite: undefined };
    return { inputTokens, outputTokens: { total: undefined, text: undefined, reasoning: undefined } };
  }
  const { prompt_tokens: input, completion_tokens: total } = used;
  const { cached_tokens: cacheRead } = used.prompt_tokens_details;
  const { reasoning_tokens: reasoning = 0 } = used.completion_tokens_details;
  return {
    inputTokens: { total: input, noCache: input - cacheRead, cacheRead, cacheWrite: undefined },
    outputTokens: { total, text: total - reasoning, reasoning },
  };
}

/** Durations of the stages and the sizes at which pictures were shown. */
function metadata(used: Usage): { [PROVIDER]: JSONObject } {
  return { [PROVIDER]: used.ocelli as unknown as JSONObject };
}
