/** The chunks of an answer as the AI SDK's stream parts. */
import type { LanguageModelV4StreamPart, SharedV4Warning } from "@ai-sdk/provider";
import type { ChatStream, FinishReason, Usage } from "../index.js";

type Part = LanguageModelV4StreamPart;
type Block = "text" | "reasoning";

/** Parts that surround those of the answer. */
interface Frame {
  warnings: SharedV4Warning[];
  /** The last part; the reason and the usage are `null` if the answer was cut off. */
  finish: (reason: FinishReason | null, usage: Usage | null) => Part;
  /** Adds every chunk as it is. */
  isRaw: boolean;
}

/** The parts of a stream, which stops the engine when it is cancelled. A failure is a part of type `error`. */
export function streamParts(chunks: ChatStream, frame: Frame): ReadableStream<Part> {
  const parts = partsOf(chunks, frame);
  return new ReadableStream<Part>(
    {
      async pull(controller) {
        const { value, done } = await parts.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel: (reason) => chunks.controller.abort(reason),
    },
    // Chunks are taken on demand, so that backpressure reaches the engine.
    { highWaterMark: 0 },
  );
}

async function* partsOf(chunks: ChatStream, { warnings, finish, isRaw }: Frame): AsyncGenerator<Part, void> {
  yield { type: "stream-start", warnings };
  const answer = new Answer();
  let reason: FinishReason | null = null;
  let usage: Usage | null = null;
  let isFirst = true;
  try {
    for await (const chunk of chunks) {
      if (isRaw) yield { type: "raw", rawValue: chunk };
      if (isFirst) yield { type: "response-metadata", id: chunk.id, modelId: chunk.model, timestamp: new Date(chunk.created * 1000) };
      isFirst = false;
      usage = chunk.usage ?? usage;
      const [choice] = chunk.choices;
      if (!choice) continue;
      const { reasoning_content, content, tool_calls = [] } = choice.delta;
      if (reasoning_content) yield* answer.add("reasoning", reasoning_content);
      if (content) yield* answer.add("text", content);
      for (const call of tool_calls) yield* answer.addCall(call);
      reason = choice.finish_reason ?? reason;
    }
  } catch (error) {
    yield { type: "error", error };
  }
  yield* answer.end();
  yield finish(reason, usage);
}

/** The open block of text or reasoning, and the open call. */
class Answer {
  private block: { type: Block; id: string } | null = null;
  private call: { id: string; name: string; input: string } | null = null;
  private blocks = 0;

  *add(type: Block, delta: string): Generator<Part> {
    if (this.block?.type !== type) {
      yield* this.end();
      this.block = { type, id: String(this.blocks++) };
      yield { type: `${type}-start`, id: this.block.id };
    }
    yield { type: `${type}-delta`, id: this.block.id, delta };
  }

  /** The first piece of a call has its id and its name. */
  *addCall({ id, function: piece }: { id?: string; function: { name?: string; arguments: string } }): Generator<Part> {
    if (id !== undefined) {
      yield* this.end();
      this.call = { id, name: piece.name ?? "", input: "" };
      yield { type: "tool-input-start", id, toolName: this.call.name };
    }
    if (!this.call || piece.arguments === "") return;
    this.call.input += piece.arguments;
    yield { type: "tool-input-delta", id: this.call.id, delta: piece.arguments };
  }

  *end(): Generator<Part> {
    if (this.block) yield { type: `${this.block.type}-end`, id: this.block.id };
    if (this.call) {
      const { id, name, input } = this.call;
      yield { type: "tool-input-end", id };
      yield { type: "tool-call", toolCallId: id, toolName: name, input };
    }
    this.block = null;
    this.call = null;
  }
}
