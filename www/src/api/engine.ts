/** The engine for a page: a proxy for the worker that holds the model. */
import { ocelliError, type OcelliError } from "../errors.js";
import { wireSource, type ImportOptions, type ModelSource } from "../import/model-source.js";
import { moduleUrls } from "../net/module-urls.js";
import { integrityHash } from "../store/hash.js";
import { packageUrl } from "../store/packages.js";
import type { LoadReport } from "../store/report.js";
import type {
  Arithmetic,
  AnswerEvent,
  Budgets,
  ChatCompletion,
  ChatCompletionChunk,
  ChatEvent,
  DeviceReport,
  EngineOptions,
  KvPrecision,
  MemoryReport,
  ScoreResult,
  Speculation,
  Tune,
  UsageReport,
  VisionResidency,
} from "../wasm/ocelli.js";
import { sharedWorker } from "../tabs/shared-worker.js";
import type { BenchOptions, BenchReport } from "../worker/bench-types.js";
import { Connection } from "../worker/connection.js";
import { type ApiRequest, type DeviceChoice, PROTOCOL_VERSION } from "../worker/protocol.js";
import { startWorker, type Parts } from "../worker/start-worker.js";
import { answerBatch, type BatchAnswer, type BatchOptions, type BatchSource } from "./batch.js";
import { checkModels, type CheckOptions, type DeviceCheck } from "./check.js";
import { aiSdkOptions, anthropicOptions, openAIOptions, type AiSdkOptions, type AnthropicOptions, type OpenAIOptions } from "./clients.js";
import { engineFetch, type Fetch } from "./fetch.js";
import { importThrough } from "./import-model.js";
import type { ChatCompletionRequest, ChatMessage, EmbeddingList, EmbeddingRequest } from "./openai.js";
import { sourceOf } from "./registry.js";
import { wireEmbeddingRequest, wireRequest, wireScoreRequest, type ScoreRequest } from "./request.js";
import { ChatStream } from "./stream.js";

/** Options of {@link Engine.load}. */
export interface LoadOptions extends Parts {
  /** Called with the progress, and with warnings. */
  onProgress?: (report: LoadReport) => void;
  /** Aborts loading. */
  signal?: AbortSignal;
  /**
   * `sha256-` and the SHA-256 in base64 that `model.json` must have, as in the `integrity` attribute of HTML. It lists the hashes of all other
   * files. For a checkpoint: of the package made from it. Fails with `integrity` if it has another one.
   */
  integrity?: string;
  /**
   * Cookies and other credentials of requests for the model's files, and for pictures at addresses: `same-origin` or `include` for hosts that
   * are not public. Default `omit`. Never is the page's address sent.
   */
  credentials?: RequestCredentials;
  /** Other folders with the files of the same package, tried in this order when `url` fails. `model.json` is never taken from them. */
  mirrors?: readonly (string | URL)[];
  /** `require`: fails with `storage-full` or `storage-unavailable` if the model cannot be stored. Default `prefer`. */
  storage?: "prefer" | "require";
  /** Tokens that a conversation may hold. More need more GPU memory. */
  context?: number;
  /**
   * Number format of the KV cache. 16-bit floats take half the GPU memory of 32-bit ones, 8-bit integers a quarter. By default
   * 32-bit floats for small models, 16-bit floats for others.
   */
  kvPrecision?: KvPrecision;
  /**
   * The most GPU memory to use, in bytes. It determines how the model is run, see `engine.memory`. A model that needs more is refused
   * with code `budget-too-small` and the numbers, before anything is allocated.
   */
  gpuMemoryBudget?: number;
  /**
   * The device: `gpu`, even one that the processor emulates; `cpu`, which is the processor; or `auto`: a GPU of hardware that computes
   * correctly if there is one, else the processor. `engine.device` describes it, and why it is not a GPU. Default `auto`.
   */
  device?: DeviceChoice;
  /**
   * Threads of the processor, if that is the device. Answers do not depend on it. More than one need a page that is cross-origin isolated. Default: as
   * many as the machine has, at most 8.
   */
  threads?: number;
  /** Residency of the vision tower's weights. By default they stay on the GPU, if `gpuMemoryBudget` allows it. */
  vision?: VisionResidency;
  /**
   * Autotuning: searches for the fastest variants of kernels on the device. Each load spends at most a fifth of a second on it until
   * all have been tried; results are stored. Default `auto`: on GPUs, but not on CPUs that emulate one.
   */
  tune?: Tune;
  /**
   * `fast` lets kernels use 16-bit floats and 8-bit inputs where that is faster on the device: answers may then differ slightly
   * between devices. Default `exact`: 32-bit floats.
   */
  arithmetic?: Arithmetic;
  /**
   * Speculative decoding at temperature 0: tokens that repeat the conversation are drafted and verified several at a time. By default
   * where that is faster. Answers are the same; `usage.completion_tokens_details` counts the draft tokens.
   */
  speculation?: Speculation;
  /** The most pixels of a picture for the model, at any `detail`. `detail: "auto"` then uses as many on every device. */
  maxPixels?: number;
  /**
   * Seconds that the pictures of a request with `detail: "auto"` may take until the first token. Their size follows from the measured
   * speed of the device, but is not below `detail: "low"`. Default 10, or no limit if `maxPixels` is set.
   */
  maxPictureSeconds?: number;
  /**
   * Shares one engine among all tabs of this origin that load the same model with the same options: the model is on the GPU once. One
   * tab hosts it; when that tab closes, another loads the model and resumes the unanswered requests. Default: one engine per tab.
   */
  share?: boolean;
  /**
   * Keeps conversations in files of this origin, so that a conversation that continues after a reload is not computed again: `usage`
   * counts the cached tokens. `bytes` limits their size, by default 1 GiB; the least recently used are removed first. A conversation is
   * kept only if it is read faster than computed. Default: nothing is written. {@link Engine.clearCache} removes them.
   */
  cache?: boolean | { bytes: number };
  /** Options of the conversion of a checkpoint. */
  import?: ImportOptions;
  /** Limits of tokens and time. Usage is then counted and stored, see {@link Engine.usage}. */
  budgets?: Budgets;
  /** Further names for the model, so that requests written for another server need no change. */
  aliases?: readonly string[];
  /** Answers requests for embeddings though the model was not trained for them. Default false: they are refused. */
  embeddings?: boolean;
}

/** Options of a request that are not part of the OpenAI API. */
export interface RequestOptions {
  /** Aborts the request. */
  signal?: AbortSignal;
  /** Called with the progress of a request, and with the sizes of its pictures and notes about them; the text comes as chunks. */
  onProgress?: (event: ChatEvent) => void;
}

/** A conversation, or a text. */
export type TokenizeRequest = { messages: ChatMessage[] } | { prompt: string };

/** The tokens of a prompt. */
export interface TokenizeResult {
  /** The number of tokens. */
  count: number;
  /** The most tokens of a conversation. */
  max_model_len: number;
  /** Ids of the tokens. */
  tokens: number[];
}

/** Same shape as `client.chat.completions` of OpenAI's client. */
export interface Completions {
  /** Answers a request, as a stream of chunks. */
  create(request: ChatCompletionRequest & { stream: true }, options?: RequestOptions): Promise<ChatStream>;
  /** Answers a request. */
  create(request: ChatCompletionRequest & { stream?: false | null }, options?: RequestOptions): Promise<ChatCompletion>;
  /** Answers a request, as a stream if its `stream` is true. */
  create(request: ChatCompletionRequest, options?: RequestOptions): Promise<ChatCompletion | ChatStream>;
}

/** Same shape as `client.embeddings` of OpenAI's client. */
export interface Embeddings {
  /** Computes the embeddings of one or more inputs. Fails with `unsupported-option` if the model was not trained for it. */
  create(request: EmbeddingRequest, options?: RequestOptions): Promise<EmbeddingList>;
}

/** A model that is loaded in a worker. */
export class Engine {
  /** Chat completions, as in OpenAI's client. */
  readonly chat: { readonly completions: Completions };
  /** Embeddings of texts and pictures, as in OpenAI's client. */
  readonly embeddings: Embeddings;
  /** The OpenAI API in the shape of `fetch`, for clients of it: `new OpenAI({ fetch: engine.fetch, ... })`. Needs no `this`. */
  readonly fetch: Fetch;
  /** Resolves once this engine cannot be used any more: with code `unloaded` after `unload`, otherwise with the error that ended its worker. */
  readonly closed: Promise<OcelliError>;

  private constructor(
    private readonly connection: Connection,
    private current: DeviceReport,
    /** Number format of the KV cache. */
    readonly kvPrecision: KvPrecision,
    /** GPU memory after loading: the plan and the allocations. */
    readonly memory: MemoryReport,
    /** The model's configuration, as in `model.json`. */
    readonly config: unknown,
    /** Address of its package. For a checkpoint: of the package made from it, which can be loaded instead. */
    readonly packageUrl: string,
    /** The model's name in answers, and in requests that name one. */
    readonly model: string,
    /** The most requests answered at once: up to 8, whose steps read the weights once for all of them. */
    readonly mostTogether: number,
  ) {
    this.fetch = engineFetch(connection);
    this.closed = connection.over;
    const create = (request: ChatCompletionRequest, options: RequestOptions = {}) =>
      request.stream ? this.stream(request, options) : this.complete(request, options);
    this.chat = { completions: { create: create as Completions["create"] } };
    this.embeddings = { create: (request, options = {}) => this.embed(request, options) };
  }

  /** The device that the model runs on. With `device: "auto"` it changes when a GPU has been lost too often during a request of this engine. */
  get device(): DeviceReport {
    return this.current;
  }

  /**
   * Loads a model: the package at an address (the folder of its `model.json`), from storage as far as it is stored; or a checkpoint, which
   * is converted to a package once: later loads need no network. The id of a model in `registry` means its source.
   */
  static async load(model: ModelSource, options: LoadOptions = {}): Promise<Engine> {
    options.signal?.throwIfAborted();
    const source = sourceOf(model);
    const checkpoint = await wireSource(source);
    const mirrors = (options.mirrors ?? []).map(packageUrl);
    const manifestSha256 = options.integrity === undefined ? null : integrityHash(options.integrity);
    const credentials = options.credentials ?? "omit";
    const modules = moduleUrls(options);
    const [engine, aliases, budgets] = [engineOptions(options), [...(options.aliases ?? [])], options.budgets ?? null];
    const [cacheBytes, embeddings] = [cacheSize(options.cache), options.embeddings ?? false];
    const [device, threads] = [options.device ?? "auto", options.threads ?? null];
    const wanted = {
      source: checkpoint ?? (source as string | URL),
      import: options.import ?? {},
      options: [engine, aliases, embeddings, budgets, cacheBytes, manifestSha256, credentials, device, threads],
    };
    const connection = new Connection(options.share ? await sharedWorker(wanted, options) : startWorker(options));
    try {
      const imported = checkpoint && (await importThrough(connection, checkpoint, options));
      const folder = imported ? imported.packageUrl : packageUrl(source as string | URL);
      const name = imported?.name || (new URL(folder).pathname.split("/").filter(Boolean).at(-1) ?? "ocelli");
      const {
        device: report,
        config,
        kvPrecision,
        memory,
        mostTogether,
      } = await connection.call(
        "load",
        {
          version: PROTOCOL_VERSION,
          packageUrl: folder,
          manifestSha256,
          credentials,
          mirrors,
          storage: options.storage ?? "prefer",
          modules,
          model: name,
          aliases,
          embeddings,
          budgets,
          options: engine,
          device,
          threads,
          cacheBytes,
        },
        { signal: options.signal, onEvent: options.onProgress },
      );
      return new Engine(connection, report, kvPrecision, memory, config, folder, name, mostTogether);
    } catch (thrown) {
      connection.close(ocelliError("unloaded", "the model could not be loaded", null, thrown));
      throw thrown;
    }
  }

  /**
   * Checks before a download which models this device can run: WebGPU support with reasons, and for each known model its fit, its
   * memory and download size, and alternatives. Never rejects.
   */
  static check(options: CheckOptions = {}): Promise<DeviceCheck> {
    return checkModels(options);
  }

  /** Current allocations of GPU memory. */
  memoryNow(options: { signal?: AbortSignal } = {}): Promise<MemoryReport> {
    return this.connection.call("memory", {}, options);
  }

  /**
   * Allocates and frees the GPU memory for a picture of this size in a full context, to find out before a conversation whether the
   * device has the planned memory. Drops the cache of the conversation so far.
   */
  preallocate(picture: { width: number; height: number }, options: { signal?: AbortSignal } = {}): Promise<MemoryReport> {
    return this.connection.call("preallocate", picture, options);
  }

  /** Usage of requests in this origin by day and key, if there were `budgets`. It is kept across reloads. */
  usage(options: { signal?: AbortSignal } = {}): Promise<UsageReport> {
    return this.connection.call("usage", {}, options);
  }

  /** Options for OpenAI's own client: `new OpenAI(engine.openai())`. */
  openai(): OpenAIOptions {
    return openAIOptions(this.fetch);
  }

  /** Options for Anthropic's own client: `new Anthropic(engine.anthropic())`. */
  anthropic(): AnthropicOptions {
    return anthropicOptions(this.fetch);
  }

  /** Options for Vercel's AI SDK: `createOpenAICompatible(engine.aiSdk())` of `@ai-sdk/openai-compatible`. */
  aiSdk(): AiSdkOptions {
    return aiSdkOptions(this.fetch);
  }

  /** The tokens of a conversation, pictures included, or of a text. The model is not run. */
  async tokenize(request: TokenizeRequest, options: { signal?: AbortSignal } = {}): Promise<TokenizeResult> {
    const wire = await wireRequest("/v1/tokenize", request);
    return JSON.parse(await this.connection.call("answer", wire, options)) as TokenizeResult;
  }

  /**
   * Answers requests in the format of OpenAI's Batch API, {@link mostTogether} at a time, with lower priority than other requests. Answers
   * are yielded as they complete; refused requests and invalid lines are answers too. To resume a batch, pass the ids already answered as
   * `answered`.
   */
  batch(requests: BatchSource, options: BatchOptions = {}): AsyncGenerator<BatchAnswer, void, void> {
    return answerBatch(engineFetch(this.connection, true), this.mostTogether, requests, options);
  }

  /** Removes the conversations kept in files ({@link LoadOptions.cache}). Resolves to the number of bytes freed. */
  clearCache(options: { signal?: AbortSignal } = {}): Promise<number> {
    return this.connection.call("clearCache", {}, options);
  }

  /**
   * Times the model and each of its kernels on this device, against the device's own limits, and drops the conversation. `onFigure`
   * receives every figure as a line of text. `context` of {@link LoadOptions} must be large enough for the timed lengths. Needs the worker
   * script `bench-worker.js` and the wasm module `ocelli_bench_bg.wasm` of the repository's page: the npm package has neither.
   */
  bench(
    options: BenchOptions = {},
    { signal, onFigure }: { signal?: AbortSignal; onFigure?: (line: string) => void } = {},
  ): Promise<BenchReport> {
    return this.connection.call("bench", { options }, { signal, onEvent: onFigure });
  }

  /** The logits of every position of a prompt. */
  async score(request: ScoreRequest, options: { signal?: AbortSignal } = {}): Promise<ScoreResult> {
    return this.connection.call("score", await wireScoreRequest(request), options);
  }

  /** Frees the memory and ends the worker. Pending calls are rejected with code `unloaded`. */
  unload(): void {
    this.connection.close(ocelliError("unloaded", "the engine was unloaded"));
  }

  private notice(event: ChatEvent, { onProgress }: RequestOptions): void {
    if (event.kind === "processor") this.current = { ...this.current, ...event.device };
    onProgress?.(event);
  }

  private async complete(request: ChatCompletionRequest, options: RequestOptions): Promise<ChatCompletion> {
    return (await this.whole(await wireRequest(CHAT, request), options)) as ChatCompletion;
  }

  private async embed(request: EmbeddingRequest, options: RequestOptions): Promise<EmbeddingList> {
    return (await this.whole(await wireEmbeddingRequest(request), options)) as EmbeddingList;
  }

  /** The body of an answer that is not streamed. */
  private async whole(wire: ApiRequest, options: RequestOptions): Promise<unknown> {
    const onEvent = (event: AnswerEvent) => {
      if (event.kind !== "frame") this.notice(event, options);
    };
    return JSON.parse(await this.connection.call("answer", wire, { signal: options.signal, onEvent }));
  }

  private async stream(request: ChatCompletionRequest, options: RequestOptions): Promise<ChatStream> {
    const wire = await wireRequest(CHAT, request);
    return ChatStream.of(async (push, signal) => {
      const onEvent = (event: AnswerEvent, read: () => void) => {
        if (event.kind !== "frame") this.notice(event, options);
        else if (event.data === "[DONE]") read();
        else push(JSON.parse(event.data) as ChatCompletionChunk, read);
      };
      await this.connection.call("answer", wire, { signal, onEvent });
    }, options.signal);
  }
}

const CHAT = "/v1/chat/completions";

/** Default limit of the conversations in files, in bytes. */
const CACHE_BYTES = 2 ** 30;

/** Throws `invalid-request` for an invalid number of bytes. */
function cacheSize(cache: LoadOptions["cache"]): number | null {
  if (!cache) return null;
  const bytes = cache === true ? CACHE_BYTES : cache.bytes;
  if (Number.isFinite(bytes) && bytes >= 1) return Math.floor(bytes);
  throw ocelliError("invalid-request", `cache: expected a number of bytes, got ${bytes}`, { field: "cache" });
}

function engineOptions(options: LoadOptions): EngineOptions {
  return {
    context: options.context ?? null,
    kvPrecision: options.kvPrecision ?? null,
    gpuMemoryBudget: options.gpuMemoryBudget ?? null,
    vision: options.vision ?? null,
    tune: options.tune ?? null,
    arithmetic: options.arithmetic ?? null,
    speculation: options.speculation ?? null,
    maxPixels: options.maxPixels ?? null,
    maxPictureSeconds: options.maxPictureSeconds ?? null,
  };
}
