/** The engine as a page sees it: a proxy for the worker that holds the model. */
import { answerHead, completion, firstChunk, lastChunk, textChunk, usageChunk } from "./completion.js";
import { Connection } from "./connection.js";
import { ocelliError } from "./errors.js";
import type { ChatCompletion, ChatCompletionRequest } from "./openai.js";
import { importThrough } from "./import-model.js";
import { wireSource, type ImportOptions, type ModelSource } from "./model-source.js";
import { packageUrl } from "./packages.js";
import {
  PROTOCOL_VERSION,
  type Arithmetic,
  type ChatEvent,
  type DeviceReport,
  type KvPrecision,
  type LoadReport,
  type MemoryReport,
  type ScoreResult,
  type Speculation,
  type Tune,
  type VisionResidency,
} from "./protocol.js";
import { wireChatRequest, wireScoreRequest, type ScoreRequest } from "./request.js";
import { ChatStream } from "./stream.js";
import { startWorker } from "./start-worker.js";

export interface LoadOptions {
  onProgress?: (report: LoadReport) => void;
  signal?: AbortSignal;
  /** A worker running this package's `worker.js`, for bundlers that leave `new URL(..., import.meta.url)` alone. */
  worker?: Worker;
  /** Where `ocelli_bg.wasm` is, when not beside its script. */
  wasmUrl?: string | URL;
  /** Other folders with the same package, asked in this order where `url` does not deliver. */
  mirrors?: readonly (string | URL)[];
  /** `require`: fails with `storage-full` or `storage-unavailable` where the model cannot be kept. Default `prefer`. */
  storage?: "prefer" | "require";
  /** Tokens a conversation may hold. More cost more GPU memory. */
  context?: number;
  /**
   * How the cache of earlier tokens holds a number. 16-bit floats take half the GPU memory of 32-bit ones, 8-bit integers a
   * quarter. By default small models have 32-bit floats, others 16-bit ones.
   */
  kvPrecision?: KvPrecision;
  /**
   * Bytes of GPU memory that everything together may take. How the model is run follows from it; `engine.memory` says how. What
   * cannot be done within it is refused with code `budget-too-small` and the numbers, before anything is allocated.
   */
  gpuMemoryBudget?: number;
  /** Where the weights are that read pictures. By default always on the GPU, if `gpuMemoryBudget` allows it. */
  vision?: VisionResidency;
  /**
   * Whether the quickest of several ways to compute is looked for on the device; a load takes up to a fifth of a second longer
   * until all have been tried. What is found is remembered. Default `auto`: on GPUs, not on processors that stand in for one.
   */
  tune?: Tune;
  /**
   * `fast` lets kernels multiply 16-bit floats and 8-bit inputs where the device is quicker with them: answers may then differ a
   * little from those of other devices. Default `exact`: the numbers of 32-bit floats.
   */
  arithmetic?: Arithmetic;
  /**
   * At temperature 0, whether tokens that stand earlier in the conversation are guessed and verified several at a time: by default
   * where that is faster. Answers are the same; `usage.completion_tokens_details` counts the guesses.
   */
  speculation?: Speculation;
  /** How a checkpoint is made into a package. */
  import?: ImportOptions;
}

export interface RequestOptions {
  signal?: AbortSignal;
  /** Stages within the answer and notes about the pictures; the text comes as chunks. */
  onProgress?: (event: Exclude<ChatEvent, { kind: "text" }>) => void;
}

export interface Completions {
  create(request: ChatCompletionRequest & { stream: true }, options?: RequestOptions): Promise<ChatStream>;
  create(request: ChatCompletionRequest & { stream?: false }, options?: RequestOptions): Promise<ChatCompletion>;
}

export class Engine {
  readonly chat: { readonly completions: Completions };

  private constructor(
    private readonly connection: Connection,
    /** What the model runs on. */
    readonly device: DeviceReport,
    /** How the cache of earlier tokens holds a number. */
    readonly kvPrecision: KvPrecision,
    /** GPU memory as it was when the model was loaded: the plan, and what is taken. */
    readonly memory: MemoryReport,
    /** The model's configuration, as in `model.json`. */
    readonly config: unknown,
    /** Where its package is: for a checkpoint, that which was made of it and can be loaded in its place. */
    readonly packageUrl: string,
    private readonly model: string,
  ) {
    const create = (request: ChatCompletionRequest, options: RequestOptions = {}) =>
      request.stream ? this.stream(request, options) : this.complete(request, options);
    this.chat = { completions: { create: create as Completions["create"] } };
  }

  /**
   * Loads a model: the package at an address, the folder of a `model.json`, from storage as far as it is there; or a checkpoint,
   * which is made into a package first, unless it has been: then nothing is asked of the network.
   */
  static async load(source: ModelSource, options: LoadOptions = {}): Promise<Engine> {
    options.signal?.throwIfAborted();
    const checkpoint = wireSource(source);
    const mirrors = (options.mirrors ?? []).map(packageUrl);
    const connection = new Connection(options.worker ?? startWorker());
    const wasmUrl = options.wasmUrl === undefined ? null : absolute(options.wasmUrl);
    try {
      const imported = checkpoint && (await importThrough(connection, checkpoint, options));
      const folder = imported ? imported.packageUrl : packageUrl(source as string | URL);
      const { device, config, kvPrecision, memory } = await connection.call(
        "load",
        {
          version: PROTOCOL_VERSION,
          packageUrl: folder,
          mirrors,
          storage: options.storage ?? "prefer",
          wasmUrl,
          options: {
            context: options.context ?? null,
            kvPrecision: options.kvPrecision ?? null,
            gpuMemoryBudget: options.gpuMemoryBudget ?? null,
            vision: options.vision ?? null,
            tune: options.tune ?? null,
            arithmetic: options.arithmetic ?? null,
            speculation: options.speculation ?? null,
          },
        },
        { signal: options.signal, onEvent: options.onProgress },
      );
      const model = imported?.name || (new URL(folder).pathname.split("/").filter(Boolean).at(-1) ?? "ocelli");
      return new Engine(connection, device, kvPrecision, memory, config, folder, model);
    } catch (thrown) {
      connection.close(ocelliError("unloaded", "the model could not be loaded", null, thrown));
      throw thrown;
    }
  }

  /** GPU memory as it is now. */
  memoryNow(options: { signal?: AbortSignal } = {}): Promise<MemoryReport> {
    return this.connection.call("memory", {}, options);
  }

  /**
   * Allocates for a moment all the GPU memory that a picture of this size behind a long conversation takes, and a full context: so
   * that a device with less than was planned is found out now and not in the middle of a talk. The conversation is forgotten.
   */
  preallocate(picture: { width: number; height: number }, options: { signal?: AbortSignal } = {}): Promise<MemoryReport> {
    return this.connection.call("preallocate", picture, options);
  }

  /** Logits of every position of a prompt: of a conversation, or of token ids with their pictures. */
  async score(request: ScoreRequest, options: { signal?: AbortSignal } = {}): Promise<ScoreResult> {
    return this.connection.call("score", await wireScoreRequest(request), options);
  }

  /** Gives memory and worker back. Calls under way are rejected with code `unloaded`. */
  unload(): void {
    this.connection.close(ocelliError("unloaded", "the engine was unloaded"));
  }

  private async complete(request: ChatCompletionRequest, options: RequestOptions): Promise<ChatCompletion> {
    const head = answerHead(request.model ?? this.model);
    const onEvent = (event: ChatEvent) => {
      if (event.kind !== "text") options.onProgress?.(event);
    };
    const wire = await wireChatRequest(request);
    return completion(head, await this.connection.call("chat", wire, { signal: options.signal, onEvent }));
  }

  private async stream(request: ChatCompletionRequest, options: RequestOptions): Promise<ChatStream> {
    const head = answerHead(request.model ?? this.model);
    const wire = await wireChatRequest(request);
    return new ChatStream(async (push, signal) => {
      push(firstChunk(head));
      const onEvent = (event: ChatEvent) => {
        if (event.kind === "text") push(textChunk(head, event.text));
        else options.onProgress?.(event);
      };
      const result = await this.connection.call("chat", wire, { signal, onEvent });
      push(lastChunk(head, result));
      if (request.stream_options?.include_usage) push(usageChunk(head, result));
    }, options.signal);
  }
}

function absolute(url: string | URL): string {
  return new URL(url, globalThis.document?.baseURI ?? globalThis.location?.href).href;
}
