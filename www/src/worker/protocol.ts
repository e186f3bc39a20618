/**
 * Messages between the page and the worker. The page makes calls, each with its own id; the worker answers a call with any number of
 * events and then one result or one error.
 */
import type { ErrorData } from "../errors.js";
import type { ImportOptions, ImportResult, WireSource } from "../import/model-source.js";
import type { ModuleUrls } from "../net/wasm-module.js";
import type { LoadReport } from "../store/report.js";
import type { Budgets, UsageReport } from "../usage/types.js";
import type {
  AnswerEvent,
  DeviceReport,
  EngineOptions,
  KvPrecision,
  MemoryReport,
  Reply,
  RequestStamp,
  ScoreResult,
} from "../wasm/ocelli.js";
import type { BenchOptions, BenchReport } from "./bench-types.js";

/** Raised with every change of a message: a page and a worker of different builds must not misunderstand each other. */
export const PROTOCOL_VERSION = 19;

/** A picture on its way to the worker. A string is an absolute URL: `http(s):`, `data:` or `blob:`. */
export type PictureSource = string | Blob | ImageBitmap | ImageData;

/** A request as JSON. A picture that is no URL is `picture:i` there, and `pictures[i]` here. */
export interface WireRequest {
  body: string;
  pictures: PictureSource[];
  /** What relative URLs count from. */
  base: string;
}

/** A request of the API. */
export interface ApiRequest extends WireRequest {
  method: string;
  /** Path of the URL. */
  path: string;
  stamp: RequestStamp;
  /** Whether it is one of a batch, which goes behind all others. */
  isBatch: boolean;
}

/** With seconds for the header `retry-after`. */
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

/** What both calls carry that may be the first of a worker. */
interface FirstCall {
  version: number;
  storage: "prefer" | "require";
  modules: ModuleUrls;
}

/** All calls. `request` is sent as it is, with `kind` and `id` added. */
export interface Calls {
  import: { request: FirstCall & { source: WireSource; options: ImportOptions }; event: LoadReport; result: ImportResult };
  load: {
    request: FirstCall & {
      packageUrl: string;
      mirrors: string[];
      options: EngineOptions;
      /** The most bytes of conversations to keep in files; none are kept where it is `null`. */
      cacheBytes: number | null;
      /** The model's name in answers, and other names that requests may call it. */
      model: string;
      aliases: string[];
      /** `null`: nothing is limited, and nothing counted. */
      budgets: Budgets | null;
    };
    event: LoadReport;
    result: LoadResult;
  };
  /** Resolves to the body of the answer, of a stream too. */
  answer: { request: ApiRequest; event: AnswerEvent; result: string };
  /** The same, with errors as the API reports them. `head`: the request is good and its stream begins. */
  fetch: { request: ApiRequest; event: AnswerEvent | { kind: "head" }; result: ApiReply };
  memory: { request: Record<never, never>; event: never; result: MemoryReport };
  /** Removes the files of conversations; resolves to their bytes. */
  clearCache: { request: Record<never, never>; event: never; result: number };
  bench: { request: { options: BenchOptions }; event: string; result: BenchReport };
  preallocate: { request: { width: number; height: number }; event: never; result: MemoryReport };
  score: { request: WireRequest; event: never; result: ScoreResult };
  usage: { request: Record<never, never>; event: never; result: UsageReport };
}

export type CallKind = keyof Calls;

export type Call<K extends CallKind = CallKind> = { [P in K]: { kind: P; id: number } & Calls[P]["request"] }[K];

/** `read`: a frame of this call's stream has been read; so many that have not stop the engine. */
export type ToWorker = Call | { kind: "cancel"; id: number } | { kind: "read"; id: number };

export type FromWorker<K extends CallKind = CallKind> =
  | { kind: "event"; id: number; event: Calls[K]["event"] }
  | { kind: "result"; id: number; result: Calls[K]["result"] }
  | { kind: "error"; id: number; error: ErrorData };
