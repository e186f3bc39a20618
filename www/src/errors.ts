/** The codes of `src/error.rs`, followed by those that exist only in JavaScript. */
export type ErrorCode =
  | "webgpu-unavailable"
  | "limits-too-small"
  | "device-lost"
  | "out-of-memory"
  /** `gpuMemoryBudget` is too small for the model; `detail` has the numbers. */
  | "budget-too-small"
  /** A budget of tokens or time does not allow the request: `detail` is a `BudgetDetail`. */
  | "budget-exceeded"
  | "gpu"
  /** A kernel without a replacement computes wrong results on this device. */
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
  /** A JSON schema has a keyword that cannot be enforced: `detail` has `pointer`, `keyword` and `reason`. */
  | "unsupported-schema"
  | "invalid-grammar"
  | "context-overflow"
  /** A request names another model than the loaded one. */
  | "model-not-found"
  | "no-such-object"
  /** The path is unknown to `engine.fetch`, or does not allow this method. */
  | "unknown-url"
  | "wrong-method"
  | "aborted"
  | "io"
  | "internal"
  /** Storage was required but is missing or too small: `detail` has `wanted` and `free`, in bytes. */
  | "storage-unavailable"
  | "storage-full"
  /** The worker script is from another version of this package than the page. */
  | "protocol-mismatch"
  /** The engine was unloaded. */
  | "unloaded";

/** An error as plain data, as the worker sends it. */
export interface ErrorData {
  code: ErrorCode;
  message: string;
  /** The values in the message, for programs. They depend on the code, see `src/error.rs`. */
  detail: Readonly<Record<string, unknown>> | null;
}

/** Every error that this package throws, except the reason of an aborted signal. `code` is stable, `message` is for people. */
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

export function ocelliError(code: ErrorCode, message: string, detail: ErrorData["detail"] = null, cause?: unknown): OcelliError {
  return new OcelliError({ code, message, detail }, cause);
}

/** Any thrown value as data. The wasm module throws `ErrorData`. */
export function errorData(thrown: unknown): ErrorData {
  if (isErrorData(thrown)) return { code: thrown.code, message: thrown.message, detail: thrown.detail };
  if (isAbort(thrown)) return { code: "aborted", message: "aborted by the caller", detail: null };
  return { code: "internal", message: thrown instanceof Error ? thrown.message : String(thrown), detail: null };
}

/** True for the errors that an aborted `fetch` or `signal.throwIfAborted()` throws. */
export function isAbort(thrown: unknown): boolean {
  return thrown instanceof DOMException && thrown.name === "AbortError";
}

function isErrorData(value: unknown): value is ErrorData {
  return typeof value === "object" && value !== null && "code" in value && "message" in value && "detail" in value;
}
