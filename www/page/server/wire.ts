/** The page's side of `worker.ts`. */
import type { Asked, Told } from "./worker.js";
import { Fault } from "./fault.js";

/** A response whose text arrives in parts. */
export interface Response {
  status: number;
  type: string;
  /** To be read once, until its end or by leaving it. Throws a `Fault` if the connection ends early. */
  parts: AsyncGenerator<string, void, void>;
  /** Ends the request if its text is not read. */
  end: () => void;
}

/** Sends a request. Throws the reason of `signal` once it is aborted, and a `Fault` if there is no response. */
export async function request(url: string, init: RequestInit, signal: AbortSignal): Promise<Response> {
  signal.throwIfAborted();
  const worker = new Worker("server-worker.js");
  const queue: Told[] = [];
  let wake: () => void = () => undefined;
  const take = (told: Told) => {
    queue.push(told);
    wake();
  };
  const end = () => {
    worker.terminate();
    signal.removeEventListener("abort", stop);
  };
  const stop = () => {
    end();
    wake();
  };
  const next = async (reason: "unreachable" | "cut"): Promise<Told> => {
    if (queue.length === 0 && !signal.aborted) await new Promise<void>((resolve) => (wake = resolve));
    signal.throwIfAborted();
    const { failure, ...told } = queue.shift() ?? {};
    if (failure === undefined) return told;
    end();
    throw new Fault(reason, url, failure);
  };
  async function* parts(): AsyncGenerator<string, void, void> {
    try {
      for (let told = await next("cut"); !told.isDone; told = await next("cut")) yield told.text ?? "";
    } finally {
      end();
    }
  }
  worker.onmessage = ({ data }: MessageEvent<Told>) => take(data);
  worker.onerror = () => take({ failure: "server-worker.js does not start" });
  signal.addEventListener("abort", stop);
  worker.postMessage({ url, init } satisfies Asked);
  const { status = 0, type = "" } = await next("unreachable");
  return { status, type, parts: parts(), end };
}
