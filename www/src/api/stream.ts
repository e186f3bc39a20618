/** A streamed answer. */
import type { ChatCompletionChunk } from "../wasm/ocelli.js";

type Producer = (push: (chunk: ChatCompletionChunk) => void, signal: AbortSignal) => Promise<void>;

/**
 * The chunks of one answer, to be read once: by `for await`, as a stream, or as text. Leaving the loop, cancelling the stream or
 * aborting the request's signal stops the engine within one token.
 */
export class ChatStream implements AsyncIterable<ChatCompletionChunk> {
  private readonly chunks: ChatCompletionChunk[] = [];
  private readonly stop = new AbortController();
  /** Set once the answer is complete or has failed. */
  private outcome: { failed: boolean; reason: unknown } | null = null;
  /** Wakes the reader that waits for a chunk or the outcome. */
  private wake: () => void = () => undefined;
  private isRead = false;

  /**
   * Runs `produce` at once; it pushes chunks until it resolves.
   * @internal
   */
  constructor(produce: Producer, signal: AbortSignal | undefined) {
    const stop = signal ? AbortSignal.any([signal, this.stop.signal]) : this.stop.signal;
    const push = (chunk: ChatCompletionChunk) => {
      this.chunks.push(chunk);
      this.wake();
    };
    const end = (failed: boolean, reason: unknown) => {
      this.outcome = { failed, reason };
      this.wake();
    };
    produce(push, stop).then(
      () => end(false, null),
      (reason: unknown) => end(true, reason),
    );
  }

  /** The chunks, in order. */
  async *[Symbol.asyncIterator](): AsyncGenerator<ChatCompletionChunk, void> {
    if (this.isRead) throw new TypeError("a ChatStream can be read once");
    this.isRead = true;
    try {
      for (;;) {
        const chunk = this.chunks.shift();
        if (chunk) yield chunk;
        else if (this.outcome?.failed) throw this.outcome.reason;
        else if (this.outcome) return;
        else await new Promise<void>((resolve) => (this.wake = resolve));
      }
    } finally {
      this.stop.abort();
    }
  }

  /** The text of the complete answer. */
  async text(): Promise<string> {
    let text = "";
    for await (const chunk of this) text += chunk.choices[0]?.delta.content ?? "";
    return text;
  }

  /** One line of JSON per chunk, the format of the same method in OpenAI's client and of its `Stream.fromReadableStream`. */
  toReadableStream(): ReadableStream<Uint8Array> {
    const chunks = this[Symbol.asyncIterator]();
    const encoder = new TextEncoder();
    return new ReadableStream({
      async pull(controller) {
        const { value, done } = await chunks.next();
        if (done) controller.close();
        else controller.enqueue(encoder.encode(`${JSON.stringify(value)}\n`));
      },
      async cancel() {
        await chunks.return();
      },
    });
  }
}
