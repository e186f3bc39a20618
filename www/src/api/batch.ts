/** Answers the requests of a batch, in the format of OpenAI's Batch API and of `ocelli batch`. */
import { ocelliError, type ErrorCode } from "../errors.js";
import type { Limit } from "../wasm/ocelli.js";
import type { Fetch } from "./fetch.js";
import { requestStamp } from "./request.js";

/** A request of a batch. */
export interface BatchRequest {
  /** The caller's id, unique within a batch. */
  custom_id: string;
  method?: "POST";
  /** The address that answers it, such as `/v1/chat/completions`. */
  url: string;
  /** The request; not a stream. */
  body: Record<string, unknown>;
}

/** The fault of a line that is not a valid request. */
export interface BatchLineError {
  code: string;
  message: string;
  /** The wrong field, if there is one. */
  param: string | null;
  /** Line number from 1. */
  line: number;
}

/** The answer to a request, or to an invalid line. */
export interface BatchAnswer {
  id: string;
  /** The id of the request; `null` if the line has none, or a duplicate. */
  custom_id: string | null;
  /** The reply as over HTTP: a refused request is an answer with its status. */
  response: { status_code: number; request_id: string; body: Record<string, unknown> } | null;
  error: BatchLineError | null;
}

/** Progress of a batch. */
export interface BatchProgress {
  /** Requests answered by this call, including refused ones and invalid lines. */
  done: number;
  /** The number of requests to answer, if they are an array. */
  total: number | null;
  requestsPerSecond: number;
  secondsLeft: number | null;
  /** Usage of the answers plus `spent` of the options: pass it to resume the batch. */
  spent: Required<Limit>;
}

/** Options of a batch. */
export interface BatchOptions {
  /** Ends the batch; running requests are not answered. */
  signal?: AbortSignal;
  /** Ids that are already answered and are skipped, to resume a batch. */
  answered?: Iterable<string>;
  /** Budget of all requests together. Requests beyond it are refused, each with its own answer. */
  budget?: Limit;
  /** Usage of a resumed batch before this call. */
  spent?: Required<Limit>;
  /** Called after each answer. */
  onProgress?: (progress: BatchProgress) => void;
}

/** Requests, or lines of JSON. */
export type BatchSource = Iterable<BatchRequest | string> | AsyncIterable<BatchRequest | string>;

/** An answer, and the line of its request. */
interface Answered {
  line: number;
  answer: BatchAnswer;
}

async function* iterate(source: BatchSource): AsyncGenerator<BatchRequest | string, void, void> {
  yield* source;
}

/**
 * Answers all requests of `source`, `atOnce` at a time, and yields each answer when it is complete. Throws if the batch ends early: the
 * reason of `signal`, or the error of the device.
 */
export async function* answerBatch(
  fetch: Fetch,
  atOnce: number,
  source: BatchSource,
  { signal, answered, budget, spent: before, onProgress }: BatchOptions,
): AsyncGenerator<BatchAnswer, void, void> {
  const [known, lines, began] = [new Set(answered), new Map<string, number>(), performance.now()];
  const total = Array.isArray(source) ? source.length : null;
  const spent = { tokens: 0, seconds: 0, ...before };
  // The rest of a budget is known only after the previous request has ended.
  const most = budget ? 1 : atOnce;
  const stop = new AbortController();
  const either = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
  const underWay = new Map<number, Promise<Answered>>();
  let [line, done, passed] = [0, 0, 0];
  const take = ({ line, answer }: Answered): BatchAnswer => {
    underWay.delete(line);
    count(answer, spent);
    done += 1;
    const rate = done / Math.max((performance.now() - began) / 1000, 1e-3);
    const secondsLeft = total === null ? null : (total - passed - done) / rate;
    onProgress?.({ done, total: total === null ? null : total - passed, requestsPerSecond: rate, secondsLeft, spent: { ...spent } });
    return answer;
  };
  const items = iterate(source);
  let next: ReturnType<typeof items.next> | null = null;
  let isEnd = false;
  try {
    while (!isEnd || underWay.size > 0) {
      if (!isEnd && underWay.size < most) {
        next ??= items.next();
        next.catch(() => undefined);
      }
      // Complete answers are yielded while waiting for the next request, which may depend on them.
      const first = await Promise.race([...underWay.values(), ...(next ? [next] : [])]);
      if ("answer" in first) {
        yield take(first);
        continue;
      }
      next = null;
      isEnd = first.done ?? false;
      if (first.done) continue;
      signal?.throwIfAborted();
      line += 1;
      const read = readRequest(first.value, line, lines);
      if (read === null || ("custom_id" in read && known.has(read.custom_id))) {
        passed += 1;
        continue;
      }
      const number = line;
      const answer = "custom_id" in read ? answerRequest(fetch, within(read, budget, spent), either) : Promise.resolve(wrongLine(read));
      const settled = answer.then((answer) => ({ line: number, answer }));
      // A rejection is handled when its answer is yielded, and ignored if the loop was left.
      settled.catch(() => undefined);
      underWay.set(number, settled);
    }
  } finally {
    stop.abort();
    // The source may never resolve.
    void items.return().catch(() => undefined);
  }
}

/** The request of a line, or its fault; `null` for an empty line. `lines` holds the line of each id so far. */
function readRequest(item: BatchRequest | string, line: number, lines: Map<string, number>): BatchRequest | BatchLineError | null {
  const wrong = (code: string, message: string, param: string | null = null): BatchLineError => ({ code, message, param, line });
  let value: unknown = item;
  if (typeof item === "string") {
    if (item.trim() === "") return null;
    try {
      value = JSON.parse(item);
    } catch (thrown) {
      return wrong("invalid_json_line", String(thrown));
    }
  }
  if (typeof value !== "object" || value === null) return wrong("invalid_json_line", "a request is an object");
  const { custom_id, method = "POST", url, body } = value as Partial<Record<keyof BatchRequest, unknown>>;
  const missing = (field: string) => wrong("missing_required_parameter", `${field} is missing`, field);
  if (typeof custom_id !== "string" || custom_id === "") return missing("custom_id");
  if (typeof url !== "string") return missing("url");
  if (typeof body !== "object" || body === null || Array.isArray(body)) return missing("body");
  if (method !== "POST") return wrong("invalid_method", `${String(method)} is not POST`, "method");
  const first = lines.get(custom_id);
  if (first !== undefined) {
    return wrong("duplicate_custom_id", `${JSON.stringify(custom_id)} is the id of line ${first} too`, "custom_id");
  }
  lines.set(custom_id, line);
  return { custom_id, url, body: body as Record<string, unknown> };
}

/** The request, limited to the rest of the budget. */
function within(request: BatchRequest, budget: Limit | undefined, spent: Required<Limit>): BatchRequest {
  if (!budget) return request;
  const own = { ...(request.body["budget"] as Limit | null | undefined) };
  for (const unit of ["tokens", "seconds"] as const) {
    const left = Math.max(0, (budget[unit] ?? Number.POSITIVE_INFINITY) - spent[unit]);
    if (left < (own[unit] ?? Number.POSITIVE_INFINITY)) own[unit] = left;
  }
  return { ...request, body: { ...request.body, budget: own } };
}

function count({ response }: BatchAnswer, spent: Required<Limit>): void {
  const usage = response?.body["usage"] as { total_tokens: number; ocelli: Record<string, number | undefined> } | undefined;
  if (!usage) return;
  const { vision_ms = 0, prefill_ms = 0, decode_ms = 0 } = usage.ocelli;
  spent.tokens += usage.total_tokens;
  spent.seconds += (vision_ms + prefill_ms + decode_ms) / 1000;
}

function wrongLine(error: BatchLineError): BatchAnswer {
  return { id: `batch_req_${requestStamp().id}`, custom_id: null, response: null, error };
}

async function answerRequest(fetch: Fetch, { custom_id, url, body }: BatchRequest, signal?: AbortSignal): Promise<BatchAnswer> {
  const answered = (status_code: number, request_id: string, body: Record<string, unknown>): BatchAnswer => {
    return { id: `batch_${request_id}`, custom_id, response: { status_code, request_id, body }, error: null };
  };
  if (body["stream"] === true) {
    const message = "stream: a batch has no streams";
    const error = { message, type: "invalid_request_error", param: "stream", code: "invalid_value" };
    return answered(400, `req_${requestStamp().id}`, { error });
  }
  const response = await fetch(url, { method: "POST", body: JSON.stringify(body), signal: signal ?? null });
  const reply = (await response.json()) as Record<string, unknown>;
  if (response.status === 503) {
    // A fault of the device affects all other requests too.
    const { message, code } = reply["error"] as { message: string; code: string };
    throw ocelliError(code.replaceAll("_", "-") as ErrorCode, message);
  }
  return answered(response.status, response.headers.get("x-request-id") ?? "", reply);
}
