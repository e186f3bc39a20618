/** A session of the Prompt API over an engine. */
import type { Engine } from "../api/engine.js";
import type { ChatCompletionChunk, ChatCompletionRequest, ChatMessage, FunctionTool, ResponseFormat } from "../api/openai.js";
import { failure, failureOf, isOverflow } from "./failure.js";
import { askedMessages, chatMessages, type Accepts } from "./messages.js";
import { PARAMS } from "./params.js";
import type { CoreOptions, Prompt, PromptOptions, PromptTool, SamplingMode } from "./types.js";

/** Rounds of calls that one prompt may take. */
const MAX_ROUNDS = 32;

/** Temperatures of the modes; other modes use the recommendation of the model's publisher. */
const TEMPERATURES: Partial<Record<SamplingMode, number>> = {
  "most-predictable": 0,
  predictable: 0.3,
  creative: 1,
  "most-creative": 1.3,
};

/** A conversation. Prompts wait for one another. */
export class Session extends EventTarget {
  /** Called when the oldest prompts were dropped because the conversation is full. */
  oncontextoverflow: ((event: Event) => void) | null = null;
  /** The same under its older name. */
  onquotaoverflow: ((event: Event) => void) | null = null;
  readonly samplingMode: SamplingMode;
  private readonly destroyed = new AbortController();
  /** Turns, oldest first: a prompt, its tool calls and its answer. */
  private turns: ChatMessage[][] = [];
  private queue: Promise<unknown> = Promise.resolve();
  private used = 0;
  private window = 0;

  private constructor(
    private readonly engine: Engine,
    private readonly options: CoreOptions,
    /** Never dropped. */
    private system: ChatMessage[],
  ) {
    super();
    this.samplingMode = options.samplingMode ?? "default";
  }

  /** @internal */
  static async open(engine: Engine, options: CoreOptions, initial: Prompt): Promise<Session> {
    const accepts = { images: takesPictures(options), system: true };
    const messages = initial.length > 0 ? await chatMessages(initial, accepts) : [];
    const own = messages.filter(({ role }) => role === "system");
    const session = new Session(engine, options, own);
    session.accept(messages.slice(own.length));
    session.used = await session.measure([]);
    if (session.used > session.window) {
      throw failure("QuotaExceededError", `the initial prompts have ${session.used} tokens, ${session.window} fit`);
    }
    return session;
  }

  /** Tokens of the conversation so far. */
  get contextUsage(): number {
    return this.used;
  }

  /** Tokens that a conversation may have. */
  get contextWindow(): number {
    return this.window;
  }

  /** The same under its older name. */
  get inputUsage(): number {
    return this.used;
  }

  /** The same under its older name. */
  get inputQuota(): number {
    return this.window;
  }

  get topK(): number {
    return this.options.topK ?? PARAMS.defaultTopK;
  }

  get temperature(): number {
    return this.options.temperature ?? TEMPERATURES[this.samplingMode] ?? PARAMS.defaultTemperature;
  }

  /** The whole answer. */
  async prompt(input: Prompt, options: PromptOptions = {}): Promise<string> {
    let text = "";
    for await (const piece of this.answer(input, options)) text += piece;
    return text;
  }

  /** The answer in pieces. Cancelling the stream aborts the prompt. */
  promptStreaming(input: Prompt, options: PromptOptions = {}): ReadableStream<string> {
    const left = new AbortController();
    const signal = options.signal ? AbortSignal.any([options.signal, left.signal]) : left.signal;
    let pieces: AsyncGenerator<string, void>;
    try {
      pieces = this.answer(input, { ...options, signal });
    } catch (thrown) {
      return new ReadableStream({ start: (controller) => controller.error(thrown) });
    }
    return new ReadableStream(
      {
        async pull(controller) {
          const { value, done } = await pieces.next();
          if (done) controller.close();
          else controller.enqueue(value);
        },
        cancel: (reason) => left.abort(reason),
      },
      { highWaterMark: 0 },
    );
  }

  /** Adds messages without an answer. */
  async append(input: Prompt, { signal }: { signal?: AbortSignal } = {}): Promise<undefined> {
    const messages = this.messages(input, chatMessages);
    const leave = await this.enter(signal);
    const before = this.turns;
    try {
      const added = await messages;
      for (let dropped = 0; ; dropped++) {
        this.turns = before.slice(dropped);
        const tokens = await this.measure(added, this.signal(signal));
        if (tokens > this.window && dropped < before.length) continue;
        if (tokens > this.window) throw failure("QuotaExceededError", `${tokens} tokens, ${this.window} fit`);
        this.accept(added);
        this.used = tokens;
        if (dropped > 0) this.tell();
        return;
      }
    } catch (thrown) {
      this.turns = before;
      throw failureOf(thrown);
    } finally {
      leave();
    }
  }

  /** Tokens that a prompt would add. */
  async measureContextUsage(input: Prompt, options: PromptOptions = {}): Promise<number> {
    this.signal(options.signal).throwIfAborted();
    const messages = await this.messages(input, askedMessages);
    const text = constraint(options) && !options.omitResponseConstraintInput ? JSON.stringify(options.responseConstraint) : "";
    const told: ChatMessage[] = text ? [{ role: "user", content: text }] : [];
    try {
      const [before, after] = [await this.measure([]), await this.measure([...messages, ...told], this.signal(options.signal))];
      return after - before;
    } catch (thrown) {
      throw failureOf(thrown);
    }
  }

  /** The same under its older name. */
  measureInputUsage(input: Prompt, options: PromptOptions = {}): Promise<number> {
    return this.measureContextUsage(input, options);
  }

  /** Another session with the same conversation, whose cached part is not computed again. */
  async clone({ signal }: { signal?: AbortSignal } = {}): Promise<Session> {
    const leave = await this.enter(signal);
    leave();
    const copy = new Session(this.engine, this.options, this.system);
    copy.turns = this.turns.map((turn) => [...turn]);
    [copy.used, copy.window] = [this.used, this.window];
    return copy;
  }

  /** Ends the session: aborts running prompts and refuses further ones. */
  destroy(reason: unknown = failure("AbortError", "the session was destroyed")): undefined {
    this.destroyed.abort(reason);
  }

  [Symbol.dispose](): void {
    this.destroy();
  }

  private messages(input: Prompt, read: typeof chatMessages): Promise<ChatMessage[]> {
    const accepts: Accepts = { images: takesPictures(this.options), system: this.system.length === 0 && this.turns.length === 0 };
    const messages = read(input, accepts);
    // It may wait for another prompt before it is awaited.
    messages.catch(() => undefined);
    return messages;
  }

  /** Adds a turn to the conversation. A message of the system, which only the first turn may have, is kept for ever. */
  private accept(turn: ChatMessage[]): void {
    const others = turn.filter(({ role }) => role !== "system");
    this.system = [...this.system, ...turn.filter(({ role }) => role === "system")];
    if (others.length > 0) this.turns = [...this.turns, others];
  }

  private signal(own: AbortSignal | undefined): AbortSignal {
    if (this.destroyed.signal.aborted) throw failure("InvalidStateError", "the session was destroyed");
    return own ? AbortSignal.any([own, this.destroyed.signal]) : this.destroyed.signal;
  }

  /** Waits for earlier prompts; resolves to the function that admits the next one. */
  private async enter(own: AbortSignal | undefined): Promise<() => void> {
    const signal = this.signal(own);
    signal.throwIfAborted();
    const before = this.queue;
    let leave: () => void = () => undefined;
    this.queue = new Promise<void>((resolve) => {
      leave = resolve;
    });
    const aborted = new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true }));
    try {
      await Promise.race([before, aborted]);
      return leave;
    } catch (reason) {
      // Later prompts still wait for earlier ones.
      void before.then(leave);
      throw reason;
    }
  }

  /** Number of tokens of the conversation with these messages added. */
  private async measure(more: ChatMessage[], signal?: AbortSignal): Promise<number> {
    const messages = [...this.system, ...this.turns.flat(), ...more];
    const asks = messages.some(({ role }) => role === "user");
    const nobody: ChatMessage[] = asks ? [] : [{ role: "user", content: "" }];
    const { count, max_model_len } = await this.engine.tokenize({ messages: [...messages, ...nobody] }, signal ? { signal } : {});
    this.window = max_model_len;
    return messages.length > 0 ? count : 0;
  }

  /** Queues the prompt at once; it is answered when the result is read. */
  private answer(input: Prompt, options: PromptOptions): AsyncGenerator<string, void> {
    const format = constraint(options);
    const messages = this.messages(input, askedMessages);
    const signal = this.signal(options.signal);
    const entered = this.enter(options.signal);
    entered.catch(() => undefined);
    const answering = { entered, messages, format, signal, isBegun: false };
    const leave = (leave: () => void) => {
      // An unread stream must not block later prompts.
      if (!answering.isBegun) leave();
    };
    signal.addEventListener("abort", () => void entered.then(leave).catch(() => undefined), { once: true });
    return this.answerIn(answering);
  }

  private async *answerIn(answering: Answering): AsyncGenerator<string, void> {
    answering.isBegun = true;
    const { format, signal } = answering;
    const leave = await answering.entered;
    try {
      const turn = [...(await answering.messages)];
      signal.throwIfAborted();
      yield* this.rounds(turn, format, signal);
      this.accept(turn);
    } catch (thrown) {
      throw failureOf(thrown);
    } finally {
      leave();
    }
  }

  /** Answers, calls tools and answers again; messages and calls are added to `turn`. */
  private async *rounds(turn: ChatMessage[], format: ResponseFormat | null, signal: AbortSignal): AsyncGenerator<string, void> {
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const said = new Said();
      for await (const piece of this.stream(turn, format, signal, said)) yield piece;
      const prefix = turn.at(-1);
      if (prefix?.role === "assistant" && !prefix.tool_calls) turn.pop();
      turn.push(said.message(prefix?.role === "assistant" && typeof prefix.content === "string" ? prefix.content : ""));
      this.used = said.tokens;
      if (said.calls.length === 0) {
        if (format && said.reason === "length") throw failure("SyntaxError", "the answer was cut before it fitted the constraint");
        return;
      }
      const called = said.calls.map(({ name, args }) => this.execute(name, args));
      const results = await Promise.all(called);
      turn.push(...said.calls.map(({ id }, index) => ({ role: "tool" as const, tool_call_id: id, content: results[index] ?? "" })));
      signal.throwIfAborted();
    }
    throw failure("OperationError", `the model called tools ${MAX_ROUNDS} times`);
  }

  private async execute(name: string, args: string): Promise<string> {
    const tool = this.options.tools?.find((tool) => tool.name === name);
    if (!tool) throw failure("OperationError", `no tool is called ${name}`);
    return String(await tool.execute(JSON.parse(args) as never));
  }

  /** One answer. While the conversation does not fit, its oldest turns are dropped; if that is not enough, none are. */
  private async *stream(turn: ChatMessage[], format: ResponseFormat | null, signal: AbortSignal, said: Said): AsyncGenerator<string, void> {
    const before = this.turns;
    for (let dropped = 0; ; dropped++) {
      this.turns = before.slice(dropped);
      try {
        const chunks = await this.engine.chat.completions.create({ ...this.request(turn, format), stream: true }, { signal });
        let isFirst = true;
        for await (const chunk of chunks) {
          const text = said.onChunk(chunk);
          if (!text) continue;
          if (isFirst && dropped > 0) this.tell();
          isFirst = false;
          yield text;
        }
        if (isFirst && dropped > 0) this.tell();
        return;
      } catch (thrown) {
        if (!isOverflow(thrown) || dropped >= before.length) {
          this.turns = before;
          throw thrown;
        }
      }
    }
  }

  /** Reports that the oldest turns were dropped. */
  private tell(): void {
    const [event, older] = [new Event("contextoverflow"), new Event("quotaoverflow")];
    this.oncontextoverflow?.(event);
    this.dispatchEvent(event);
    this.onquotaoverflow?.(older);
    this.dispatchEvent(older);
  }

  private request(turn: ChatMessage[], format: ResponseFormat | null): ChatCompletionRequest {
    const { topK, temperature = TEMPERATURES[this.samplingMode], tools } = this.options;
    return {
      messages: [...this.system, ...this.turns.flat(), ...turn],
      stream_options: { include_usage: true },
      ...(temperature === undefined ? {} : { temperature }),
      ...(topK === undefined ? {} : { top_k: topK }),
      ...(tools?.length ? { tools: tools.map(functionTool) } : {}),
      ...(format ? { response_format: format } : {}),
    };
  }
}

/** A prompt in the queue. */
interface Answering {
  /** Admits the next prompt. */
  entered: Promise<() => void>;
  messages: Promise<ChatMessage[]>;
  format: ResponseFormat | null;
  signal: AbortSignal;
  /** True if its answer is being read. */
  isBegun: boolean;
}

/** One answer in progress. */
class Said {
  text = "";
  calls: { id: string; name: string; args: string }[] = [];
  reason: string | null = null;
  tokens = 0;

  /** The text of a chunk. */
  onChunk({ choices, usage }: ChatCompletionChunk): string {
    this.tokens = usage?.total_tokens ?? this.tokens;
    const [choice] = choices;
    for (const { index, id, function: called } of choice?.delta.tool_calls ?? []) {
      const call = this.calls[index];
      if (call) call.args += called.arguments;
      else this.calls[index] = { id: id ?? "", name: called.name ?? "", args: called.arguments };
    }
    this.reason = choice?.finish_reason ?? this.reason;
    const text = choice?.delta.content ?? "";
    this.text += text;
    return text;
  }

  message(prefix: string): ChatMessage {
    const tool_calls = this.calls.map(({ id, name, args }) => ({ id, type: "function" as const, function: { name, arguments: args } }));
    const content = prefix + this.text;
    return tool_calls.length > 0 ? { role: "assistant", content: content || null, tool_calls } : { role: "assistant", content };
  }
}

function takesPictures({ expectedInputs }: CoreOptions): boolean {
  return expectedInputs?.some(({ type }) => type === "image") ?? false;
}

function functionTool({ name, description, inputSchema }: PromptTool): FunctionTool {
  return { type: "function", function: { name, description, parameters: inputSchema as Record<string, unknown> } };
}

/** The format that an answer must have. */
function constraint({ responseConstraint, omitResponseConstraintInput }: PromptOptions): ResponseFormat | null {
  if (responseConstraint === undefined) {
    if (omitResponseConstraintInput) throw new TypeError("omitResponseConstraintInput without a responseConstraint");
    return null;
  }
  if (typeof responseConstraint !== "object" || responseConstraint === null) {
    throw new TypeError("responseConstraint is a JSON schema or a RegExp");
  }
  const in_prompt = !omitResponseConstraintInput;
  if (responseConstraint instanceof RegExp) return { type: "regex", regex: responseConstraint.source, in_prompt };
  const schema = responseConstraint as Record<string, unknown>;
  return { type: "json_schema", json_schema: { name: "answer", schema }, in_prompt };
}
