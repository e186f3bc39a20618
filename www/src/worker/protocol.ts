/**
 * Messages between the page and the worker. The page makes calls, each with its own id; the worker answers a call with any number of
 * events and then one result or one error.
 */
import type { ErrorData } from "../errors.js";
import type { ImportOptions, ImportResult, WireSource } from "../import/model-source.js";
import type { LoadReport } from "../store/report.js";
import type {
  AnswerStamp,
  ChatEvent,
  ChatResult,
  DeviceReport,
  EngineOptions,
  KvPrecision,
  MemoryReport,
  ScoreResult,
} from "../wasm/ocelli.js";

/** Raised with every change of a message: a page and a worker of different builds must not misunderstand each other. */
export const PROTOCOL_VERSION = 11;

/** A picture on its way to the worker. A string is an absolute URL: `http(s):`, `data:` or `blob:`. */
export type PictureSource = string | Blob | ImageBitmap | ImageData;

/** A request as JSON, in which the URL of picture `i` is `picture:i`, and its pictures. */
export interface WireRequest {
  body: string;
  pictures: PictureSource[];
}

export interface LoadResult {
  device: DeviceReport;
  memory: MemoryReport;
  kvPrecision: KvPrecision;
  config: unknown;
}

/** What both calls carry that may be the first of a worker. */
interface FirstCall {
  version: number;
  storage: "prefer" | "require";
  /** `null`: beside its script. */
  wasmUrl: string | null;
}

/** All calls. `request` is sent as it is, with `kind` and `id` added. */
export interface Calls {
  import: { request: FirstCall & { source: WireSource; options: ImportOptions }; event: LoadReport; result: ImportResult };
  load: {
    request: FirstCall & { packageUrl: string; mirrors: string[]; options: EngineOptions };
    event: LoadReport;
    result: LoadResult;
  };
  chat: { request: WireRequest & { stamp: AnswerStamp }; event: ChatEvent; result: ChatResult };
  memory: { request: Record<never, never>; event: never; result: MemoryReport };
  preallocate: { request: { width: number; height: number }; event: never; result: MemoryReport };
  score: { request: WireRequest; event: never; result: ScoreResult };
}

export type CallKind = keyof Calls;

export type Call<K extends CallKind = CallKind> = { [P in K]: { kind: P; id: number } & Calls[P]["request"] }[K];

export type ToWorker = Call | { kind: "cancel"; id: number };

export type FromWorker<K extends CallKind = CallKind> =
  | { kind: "event"; id: number; event: Calls[K]["event"] }
  | { kind: "result"; id: number; result: Calls[K]["result"] }
  | { kind: "error"; id: number; error: ErrorData };
