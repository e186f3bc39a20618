/** The engine's worker in Node, which has threads in place of workers. */
import { ocelliError } from "../errors.js";
import type { EngineWorker } from "./connection.js";
import type { FromWorker, ToWorker } from "./protocol.js";

/** The part of `node:worker_threads` that is used here. */
interface Thread {
  on(type: "message", listener: (data: FromWorker) => void): void;
  on(type: "messageerror", listener: () => void): void;
  on(type: "error", listener: (error: Error) => void): void;
  postMessage(message: ToWorker): void;
  terminate(): Promise<number>;
  ref(): void;
  unref(): void;
}

interface Threads {
  Worker: new (script: URL, options: { workerData: { script: string }; execArgv: string[] }) => Thread;
}

/** Starts `worker.js` in a thread. `runner`: the address of `node-worker.js`. */
export function startThread(script: string, runner: URL): EngineWorker {
  // Not an import, which bundlers for pages would follow.
  const { process } = globalThis as { process?: { getBuiltinModule?(name: string): Threads } };
  const threads = process?.getBuiltinModule?.("node:worker_threads");
  if (!threads) {
    const reason = "there are no workers here: Node has them from 20.16 and 22.3 on";
    throw ocelliError("webgpu-unavailable", `no usable GPU adapter: ${reason}`, { reason });
  }
  // Options of the process may be about its own script.
  return new EngineThread(new threads.Worker(runner, { workerData: { script }, execArgv: [] }));
}

/** A thread with the interface of a worker. It keeps the process alive only while a call is unanswered. */
class EngineThread implements EngineWorker {
  private readonly events = new EventTarget();
  private unanswered = 0;

  constructor(private readonly thread: Thread) {
    thread.unref();
    thread.on("message", (data) => {
      if (data.kind !== "event") this.count(-1);
      this.events.dispatchEvent(new MessageEvent("message", { data }));
    });
    thread.on("messageerror", () => this.events.dispatchEvent(new Event("messageerror")));
    thread.on("error", ({ message }) => {
      this.count(-this.unanswered);
      this.events.dispatchEvent(Object.assign(new Event("error"), { message }));
    });
  }

  addEventListener(type: string, listener: (event: never) => void): void {
    this.events.addEventListener(type, listener as (event: Event) => void);
  }

  postMessage(message: ToWorker): void {
    this.thread.postMessage(message);
    if (message.kind !== "read" && message.kind !== "cancel") this.count(1);
  }

  terminate(): void {
    void this.thread.terminate();
  }

  private count(more: number): void {
    this.unanswered += more;
    if (this.unanswered > 0) this.thread.ref();
    else this.thread.unref();
  }
}
