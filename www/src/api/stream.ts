/** A streamed answer. */
import type { ChatCompletionChunk } from "../wasm/ocelli.js";
import { Frames } from "./frames.js";

/** Pushes chunks until it resolves. `read` must be called when a chunk has been read. */
type Producer = (push: (chunk: ChatCompletionChunk, read: () => void) => void, signal: AbortSignal) => Promise<void>;

/**
 * The chunks of one answer, to be read once: by `for await`, as a stream, or as text. Leaving the loop, cancelling the stream, aborting
 * the request's signal or the `controller` stops the engine within one token. Without a reader, the engine pauses after a few chunks.
 */
export class ChatStream implements AsyncIterable<ChatCompletionChunk> {
  /** Stops the engine. Chunks that have arrived can still be read, then reading fails with the signal's reason. */
  readonly controller: AbortController;
  private isRead = false;

  private constructor(
    private readonly iterate: () => AsyncGenerator<ChatCompletionChunk, void>,
    controller: AbortController,
  ) {
    this.controller = controller;
  }

  /**
   * Runs `produce` at once.
   * @internal
   */
  static of(produce: Producer, signal: AbortSignal | undefined): ChatStream {
    const controller = new AbortController();
    const frames = new Frames<ChatCompletionChunk>();
    const stop = signal ? AbortSignal.any([signal, controller.signal]) : controller.signal;
    produce((chunk, read) => frames.push(chunk, read), stop).then(
      () => frames.end(),
      (reason: unknown) => frames.fail(reason),
    );
    const iterate = async function* () {
      try {
        for (let chunk = await frames.next(); chunk; chunk = await frames.next()) yield chunk;
      } finally {
        controller.abort();
      }
    };
    return new ChatStream(iterate, controller);
  }

  /** The chunks, in order. */
  [Symbol.asyncIterator](): AsyncGenerator<ChatCompletionChunk, void> {
    if (this.isRead) throw new TypeError("a ChatStream can be read once");
    this.isRead = true;
    return this.iterate();
  }

  /** Two streams of the same chunks. Chunks that only one has read are buffered for the other. */
  tee(): [ChatStream, ChatStream] {
    const source = this[Symbol.asyncIterator]();
    const queues: [Promise<IteratorResult<ChatCompletionChunk, void>>[], Promise<IteratorResult<ChatCompletionChunk, void>>[]] = [[], []];
    const branch = (own: 0 | 1): ChatStream => {
      const iterate = async function* () {
        for (;;) {
          if (queues[own].length === 0) {
            const next = source.next();
            queues[0].push(next);
            queues[1].push(next);
          }
          const { value, done } = await (queues[own].shift() as Promise<IteratorResult<ChatCompletionChunk, void>>);
          if (done || !value) return;
          yield value;
        }
      };
      return new ChatStream(iterate, this.controller);
    };
    return [branch(0), branch(1)];
  }

  /** The text of the complete answer; of the first, if there are several. */
  async text(): Promise<string> {
    let text = "";
    for await (const { choices } of this) {
      for (const { index, delta } of choices) if (index === 0) text += delta.content ?? "";
    }
    return text;
  }

  /** One line of JSON per chunk, the format of this method in OpenAI's client and of its `Stream.fromReadableStream`. */
  toReadableStream(): ReadableStream<Uint8Array> {
    const chunks = this[Symbol.asyncIterator]();
    const encoder = new TextEncoder();
    return new ReadableStream(
      {
        async pull(controller) {
          const { value, done } = await chunks.next();
          if (done) controller.close();
          else controller.enqueue(encoder.encode(`${JSON.stringify(value)}\n`));
        },
        cancel: (reason) => {
          this.controller.abort(reason);
        },
      },
      { highWaterMark: 0 },
    );
  }
}
