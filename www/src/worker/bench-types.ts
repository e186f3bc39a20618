import type { DeviceReport, KvPrecision } from "../wasm/ocelli.js";

/** Options of a benchmark. Absent ones have defaults. */
export interface BenchOptions {
  /** Context lengths at which decoding is timed. Default 128, 1024 and 4096. */
  decode?: number[];
  /** Prompt lengths. Default 512 and 2048. */
  prefill?: number[];
  /** Sides of square pictures, in pixels. Default 448 and 1036. */
  pictures?: number[];
  /** Numbers of answers computed at once, if the engine supports that. Default none. */
  together?: number[];
  /** Tokens decoded at a time. Default 16. */
  tokens?: number;
  /** Repetitions, of which the median counts. Default 3. */
  rounds?: number;
  /** Milliseconds after which nothing is repeated. Default 60,000. */
  patienceMs?: number;
  /** Measures the device's peaks, and each kernel's share of them. Default `true`. */
  kernels?: boolean;
}

/** Duration of one operation. */
export interface BenchMeasure {
  what: "first_token" | "prompt" | "decode" | "drafts_of3" | "drafts_of7" | "picture" | "picture_to_first_token" | "together";
  /** Tokens of the prompt or of the context, side of a picture in pixels, or answers at once. */
  size: number;
  /** Steps in each time: tokens, or 1. */
  steps: number;
  /** Milliseconds, in order of measurement. */
  times: number[];
  medianMs: number;
}

/** Time of a kernel and its lower bound. */
export interface KernelShare {
  kernel: string;
  launches: number;
  /** Bytes moved by the launches. */
  bytes: number;
  flops: number;
  /** Measured milliseconds, one kernel at a time. */
  ms: number;
  /** Lower bound in milliseconds: the bytes at the rate of a copy, or the operations at the peak, whichever takes longer. */
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
  /** Bytes of weights read for one token of the answer. */
  weightBytes: number;
  measures: BenchMeasure[];
  /** Peaks of the idle device; `null` without `kernels`. */
  peaks: {
    copyGbS: number;
    /** A launch that waits for the launch before; `null` on a processor, and in browsers that notice the end of work late. */
    launch: Sides | null;
    arithmetic: { numbers: "f32" | "f16" | "int8"; gops: number }[];
  } | null;
  works: {
    work: { kind: "decode"; tokens: number } | { kind: "prompt"; tokens: number } | { kind: "picture"; side: number };
    /** Measured milliseconds of the whole; `null` if it was not measured. */
    measuredMs: number | null;
    /** The whole in one submission; `null` for work of several submissions, and where `launch` is. */
    sides: Sides | null;
    /** Sum of the kernels' bounds. */
    boundMs: number;
    kernels: KernelShare[];
  }[];
}

/** Milliseconds of work on both sides of its submission. The device's include those of the browser's GPU process. */
export interface Sides {
  submitMs: number;
  deviceMs: number;
}
