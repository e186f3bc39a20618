/** Codes of `src/error.rs`, unchanged, and after them those that only JavaScript can meet. */
export type ErrorCode =
  | "webgpu-unavailable"
  | "limits-too-small"
  | "device-lost"
  | "out-of-memory"
  /** The GPU memory that `gpuMemoryBudget` allows is too little; `detail` has the numbers. */
  | "budget-too-small"
  | "gpu"
  /** The device computes wrongly: an answer of it could not be trusted. */
  | "self-test-failed"
  | "invalid-package"
  | "invalid-checkpoint"
  | "unsupported-architecture"
  | "integrity"
  | "tokenizer"
  | "invalid-image"
  | "image-too-large"
  | "invalid-request"
  | "unsupported-option"
  | "context-overflow"
  | "aborted"
  | "io"
  | "internal"
  /** The caller asked for storage and the browser gives none, or too little: `detail` has `wanted` and `free`, in bytes. */
  | "storage-unavailable"
  | "storage-full"
  /** The worker script is of another version of this package than the page's. */
  | "protocol-mismatch"
  /** The engine was unloaded, or its worker died. */
  | "unloaded";

/** An error as data: what crosses from the worker. */
export interface ErrorData {
  code: ErrorCode;
  message: string;
  /** The numbers and names behind the message, by code; see `src/error.rs`. */
  detail: Readonly<Record<string, unknown>> | null;
}

/** Every failure of this package. `code` is stable; `message` is for people. */
export class OcelliError extends Error {
  override readonly name = "OcelliError";
  readonly code: ErrorCode;
  readonly detail: ErrorData["detail"];

  constructor(data: ErrorData, cause?: unknown) {
    super(data.message, cause === undefined ? undefined : { cause });
    this.code = data.code;
    this.detail = data.detail;
  }
}

/** Shorthand for the place that finds something wrong. */
export function ocelliError(
  code: ErrorCode,
  message: string,
  detail: ErrorData["detail"] = null,
  cause?: unknown,
): OcelliError {
  return new OcelliError({ code, message, detail }, cause);
}

/** Whatever was thrown, as data. The wasm module throws `ErrorData` already. */
export function errorData(thrown: unknown): ErrorData {
  if (isErrorData(thrown)) return { code: thrown.code, message: thrown.message, detail: thrown.detail };
  if (isAbort(thrown)) return { code: "aborted", message: "aborted by the caller", detail: null };
  return { code: "internal", message: thrown instanceof Error ? thrown.message : String(thrown), detail: null };
}

/** Whether `thrown` is what an aborted `fetch` or `signal.throwIfAborted()` throws. */
export function isAbort(thrown: unknown): boolean {
  return thrown instanceof DOMException && thrown.name === "AbortError";
}

function isErrorData(value: unknown): value is ErrorData {
  return typeof value === "object" && value !== null && "code" in value && "message" in value && "detail" in value;
}
