/** Failures by their names in the Prompt API. */
import { OcelliError, type ErrorCode } from "../index.js";

const NAMES: Partial<Record<ErrorCode, string>> = {
  "unsupported-schema": "NotSupportedError",
  "invalid-grammar": "NotSupportedError",
  "unsupported-option": "NotSupportedError",
  "unsupported-architecture": "NotSupportedError",
  "webgpu-unavailable": "NotSupportedError",
  "limits-too-small": "NotSupportedError",
  "invalid-image": "EncodingError",
  "image-too-large": "EncodingError",
  io: "NetworkError",
  integrity: "NetworkError",
  unloaded: "InvalidStateError",
};

export function failure(name: string, message: string): DOMException {
  return new DOMException(message, name);
}

/** The error that the API throws for an error of the engine. The reason of an aborted signal is unchanged. */
export function failureOf(thrown: unknown): unknown {
  if (!(thrown instanceof OcelliError)) return thrown;
  if (thrown.code === "context-overflow") return new QuotaExceeded(thrown.message, thrown.detail);
  return failure(NAMES[thrown.code] ?? "UnknownError", thrown.message);
}

/** A prompt that does not fit even after all old turns are dropped. */
class QuotaExceeded extends DOMException {
  /** Tokens of the prompt. */
  readonly requested: number | null;
  /** Tokens available. */
  readonly quota: number | null;

  constructor(message: string, detail: Readonly<Record<string, unknown>> | null) {
    super(message, "QuotaExceededError");
    this.requested = Number(detail?.["tokens"] ?? 0) || null;
    this.quota = Number(detail?.["context"] ?? 0) || null;
  }
}

export function isOverflow(thrown: unknown): boolean {
  return thrown instanceof OcelliError && thrown.code === "context-overflow";
}
