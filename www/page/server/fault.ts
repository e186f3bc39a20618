/** Reasons why a server does not answer. */
import { OcelliError, type ErrorCode } from "../../src/index.js";
import { settingWords } from "../words/settings.js";

/** `address` and `key` are malformed, `mixed` is forbidden by the browser; `cut`: the answer ended early; `stream`: it does not stream. */
export type Reason = "address" | "key" | "mixed" | "unreachable" | "refused" | "notFound" | "busy" | "stream" | "cut" | "other";

/** Codes of the API for faults that the page has a word about. */
const CODES: Readonly<Record<string, ErrorCode>> = {
  context_length_exceeded: "context-overflow",
  image_parse_error: "invalid-image",
  invalid_image: "invalid-image",
  unsupported_schema: "unsupported-schema",
};

/** An error with words of its own. */
export class Fault extends OcelliError {
  readonly advice: { title: string; next: string };

  constructor(
    readonly reason: Reason,
    readonly address: string,
    message = "",
  ) {
    super({ code: "io", message, detail: null });
    this.advice = settingWords.server.faults[reason];
  }
}

/** The error of a response that is no success. `text` is its body. */
export function refusal(status: number, address: string, text: string): OcelliError {
  const { code, message } = errorIn(text);
  const known = CODES[code];
  if (known) return new OcelliError({ code: known, message, detail: null });
  const reasons: Readonly<Record<number, Reason>> = { 401: "refused", 403: "refused", 404: "notFound", 405: "notFound", 429: "busy" };
  return new Fault(reasons[status] ?? "other", address, `${status} ${message}`.trim());
}

/** The error that a body or a frame tells, in OpenAI's form or as text. */
export function errorIn(text: string): { code: string; message: string } {
  try {
    const { error, message = text } = JSON.parse(text) as { error?: { code?: unknown; message?: unknown } | string; message?: unknown };
    if (typeof error === "object") return { code: String(error.code), message: String(error.message) };
    return { code: "", message: String(error ?? message) };
  } catch {
    return { code: "", message: text.slice(0, 300) };
  }
}
