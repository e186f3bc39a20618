/**
 * Messages between the page and the worker. The page makes calls, each with its own id; the worker answers a call with any number of
 * events and then one result or one error.
 */
import type { ErrorData } from "../errors.js";
import type { ImportOptions, ImportResult, WireSource } from "../import/model-source.js";
import type { ModuleUrls } from "../net/wasm-module.js";
import type { LoadReport } from "../store/report.js";
import type {
  AnswerEvent,
  Budgets,
  DeviceReport,
  EngineOptions,
  KvPrecision,
  MemoryReport,
  Reply,
  RequestStamp,
  ScoreResult,
  UsageReport,
} from "../wasm/ocelli.js";
import type { BenchOptions, BenchReport } from "./bench-types.js";

/** Raised with every change of a message: a page and a worker of different builds must not misunderstand each other. */
export const PROTOCOL_VERSION = 22;

/** A picture on its way to the worker. A string is an absolute URL: `http(s):`, `data:` or `blob:`. */
export type PictureSource = string | Blob | ImageBitmap | ImageData;

/** A request as JSON. A picture that is not a URL is `picture:i` in `body`, which means `pictures[i]`. */
export interface WireRequest {
  body: string;
  pictures: PictureSource[];
  /** Base of relative URLs. */
  base: string;
}

/** A request of the API. */
export interface ApiRequest extends WireRequest {
  method: string;
  /** Path of the URL. */
  path: string;
  stamp: RequestStamp;
  /** True for a request of a batch, which has a lower priority than all others. */
  isBatch: boolean;
}

/** A reply with the seconds for the header `retry-after`. */
export interface ApiReply extends Reply {
  retry_after?: unknown;
}

export interface LoadResult {
  device: DeviceReport;
  memory: MemoryReport;
  kvPrecision: KvPrecision;
  config: unknown;
  /** The most requests that are answered at once. */
  mostTogether: number;
}

/** Fields of the calls that may be the first of a worker. */
interface FirstCall {
  version: number;
  storage: "prefer" | "require";
  modules: ModuleUrls;
}

/** The device that a model runs on: a GPU, the processor, or the processor where there is no GPU that can be used. */
export type DeviceChoice = "auto" | "gpu" | "cpu";

/** All calls. `request` is sent with `kind` and `id` added. */
export interface Calls {
  import: { request: FirstCall & { source: WireSource; options: ImportOptions }; event: LoadReport; result: ImportResult };
  load: {
    request: FirstCall & {
      packageUrl: string;
      /** SHA-256 that the manifest must have, in hexadecimal. */
      manifestSha256: string | null;
      /** Credentials of requests for the package, and for pictures. */
      credentials: RequestCredentials;
      mirrors: string[];
      options: EngineOptions;
      device: DeviceChoice;
      /** Threads of the processor; `null`: as many as it has. */
      threads: number | null;
      /** The most bytes of conversations to keep in files; `null`: none are kept. */
      cacheBytes: number | null;
      /** The model's name in answers, and other names that requests may use. */
      model: string;
      aliases: string[];
      /** Embeddings of a model that was not trained for them. */
      embeddings: boolean;
      /** `null`: nothing is limited, and no usage is counted. */
      budgets: Budgets | null;
    };
    event: LoadReport;
    result: LoadResult;
  };
  /** Resolves to the body of the answer, also of a stream. */
  answer: { request: ApiRequest; event: AnswerEvent; result: string };
  /** Like `answer`, with errors as API replies. `head`: the request is valid and its stream begins. */
  fetch: { request: ApiRequest; event: AnswerEvent | { kind: "head" }; result: ApiReply };
  memory: { request: Record<never, never>; event: never; result: MemoryReport };
  /** Removes the files of conversations; resolves to their size in bytes. */
  clearCache: { request: Record<never, never>; event: never; result: number };
  bench: { request: { options: BenchOptions }; event: string; result: BenchReport };
  preallocate: { request: { width: number; height: number }; event: never; result: MemoryReport };
  score: { request: WireRequest; event: never; result: ScoreResult };
  usage: { request: Record<never, never>; event: never; result: UsageReport };
}

export type CallKind = keyof Calls;

export type Call<K extends CallKind = CallKind> = { [P in K]: { kind: P; id: number } & Calls[P]["request"] }[K];

/** `read`: a frame of this call's stream has been read. Too many unread ones pause the engine. */
export type ToWorker = Call | { kind: "cancel"; id: number } | { kind: "read"; id: number };

export type FromWorker<K extends CallKind = CallKind> =
  | { kind: "event"; id: number; event: Calls[K]["event"] }
  | { kind: "result"; id: number; result: Calls[K]["result"] }
  | { kind: "error"; id: number; error: ErrorData };
