import type { DeviceReport, KvPrecision } from "../wasm/ocelli.js";

/** What a benchmark times. Whatever is left out has a default. */
export interface BenchOptions {
  /** Tokens in the context when decoding is timed. Default 128, 1024 and 4096. */
  decode?: number[];
  /** Tokens of the prompts. Default 512 and 2048. */
  prefill?: number[];
  /** Sides of square pictures, in pixels. Default 448 and 1036. */
  pictures?: number[];
  /** How many answers at once are timed, by an engine that answers several. Default none. */
  together?: number[];
  /** Tokens decoded at a time. Default 16. */
  tokens?: number;
  /** Times each is done; the median counts. Default 3. */
  rounds?: number;
  /** Milliseconds after which nothing is done another time. Default 60,000. */
  patienceMs?: number;
  /** Whether the device's peaks are measured, and each kernel's share of them. Default `true`. */
  kernels?: boolean;
}

/** How long something took. */
export interface BenchMeasure {
  what: "first_token" | "prompt" | "decode" | "drafts_of3" | "drafts_of7" | "picture" | "picture_to_first_token" | "together";
  /** Tokens of the prompt or of the context, pixels of a picture's side, or answers at once. */
  size: number;
  /** Steps that each time is of: tokens, or 1. */
  steps: number;
  /** Milliseconds, in the order measured. */
  times: number[];
  medianMs: number;
}

/** A kernel beside the bound that applies to it. */
export interface KernelShare {
  kernel: string;
  launches: number;
  /** Bytes that the launches move. */
  bytes: number;
  flops: number;
  /** Milliseconds measured, one kernel at a time. */
  ms: number;
  /** Milliseconds that the bytes take at the rate of a copy, or the operations at the peak, whichever is longer. */
  boundMs: number;
}

/** A benchmark of a model on a device. */
export interface BenchReport {
  version: string;
  model: string;
  quantization: string;
  kv: KvPrecision;
  device: Omit<DeviceReport, "selfTest">;
  selfTestMs: number;
  /** Bytes of weights that a token of the answer reads. */
  weightBytes: number;
  measures: BenchMeasure[];
  /** What the device reaches with nothing else to do; `null` without `kernels`. */
  peaks: { copyGbS: number; arithmetic: { numbers: "f32" | "f16" | "int8"; gops: number }[] } | null;
  works: {
    work: { kind: "decode"; tokens: number } | { kind: "prompt"; tokens: number } | { kind: "picture"; side: number };
    /** Milliseconds of the whole; `null` if it was not measured. */
    measuredMs: number | null;
    /** Sum of the kernels' bounds. */
    boundMs: number;
    kernels: KernelShare[];
  }[];
}
