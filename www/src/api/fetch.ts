/** The engine in the shape of `fetch`, which clients of the OpenAI API use instead of the network. */
import { errorData } from "../errors.js";
import type { Connection } from "../worker/connection.js";
import type { ApiReply } from "../worker/protocol.js";
import { Frames } from "./frames.js";
import { base, requestStamp } from "./request.js";

/** The `fetch` option of `new OpenAI({ fetch })` and similar clients. */
export type Fetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>;

/**
 * Answers requests to any host by their path from `/v1` on. Errors are replies with a status and OpenAI's error object; only an aborted
 * request rejects, with the signal's reason.
 */
export function engineFetch(connection: Connection, isBatch = false): Fetch {
  return async (input, init = {}) => {
    const request = input instanceof Request ? input : null;
    const url = new URL(request?.url ?? (input as string | URL), base());
    const method = (init.method ?? request?.method ?? "GET").toUpperCase();
    const signal = init.signal ?? request?.signal;
    signal?.throwIfAborted();
    const body = await (request && init.body == null ? request : new Response(init.body ?? null)).text();
    const stamp = isBatch ? requestStamp() : { ...requestStamp(), owner: "" };
    const headers = { "x-request-id": `req_${stamp.id}`, "cache-control": "no-cache" };
    const stop = new AbortController();
    const either = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
    const frames = new Frames<string>();
    return new Promise<Response>((resolve, reject) => {
      let isStream = false;
      const call = { method, path: url.pathname, stamp, base: base(), body, pictures: [], isBatch };
      const answered = connection.call("fetch", call, {
        signal: either,
        onEvent(event, read) {
          if (event.kind === "frame") frames.push(frameText(event), read);
          if (event.kind !== "head") return;
          isStream = true;
          resolve(new Response(streamBody(frames, stop), { headers: { ...headers, "content-type": "text/event-stream" } }));
        },
      });
      const replied = (reply: ApiReply) => {
        if (!isStream) return resolve(plainResponse(reply, headers));
        // The headers were already sent.
        // Anthropic's clients expect the name of the event.
        const name = url.pathname.includes("/v1/messages") ? "event: error\n" : "";
        if (reply.status >= 400) frames.push(`${name}data: ${reply.body}\n\n`, () => undefined);
        frames.end();
      };
      answered.then(replied, (thrown: unknown) => {
        if (!either.aborted) return replied(failure(thrown));
        frames.fail(thrown);
        reject(thrown);
      });
    });
  };
}

function frameText({ event, data }: { event: string | null; data: string }): string {
  return event === null ? `data: ${data}\n\n` : `event: ${event}\ndata: ${data}\n\n`;
}

function streamBody(frames: Frames<string>, stop: AbortController): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  return new ReadableStream(
    {
      async pull(controller) {
        const text = await frames.next();
        if (text === undefined) controller.close();
        else controller.enqueue(encoder.encode(text));
      },
      cancel: (reason) => stop.abort(reason),
    },
    // Frames are taken only on demand, so that backpressure reaches the engine.
    { highWaterMark: 0 },
  );
}

function plainResponse({ status, body, may_retry, retry_after }: ApiReply, headers: Record<string, string>): Response {
  const retry = may_retry === null ? {} : { "x-should-retry": String(may_retry) };
  const later = retry_after == null ? {} : { "retry-after": String(retry_after) };
  return new Response(body, { status, headers: { ...headers, ...retry, ...later, "content-type": "application/json" } });
}

/** The error reply after the worker has ended. */
function failure(thrown: unknown): ApiReply {
  const { code, message } = errorData(thrown);
  const error = { message, type: "server_error", param: null, code: code.replaceAll("-", "_") };
  return { status: 503, body: JSON.stringify({ type: "error", error }), may_retry: false };
}
