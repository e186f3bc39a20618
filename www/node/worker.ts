/** Runs `worker.js` in a thread of Node: gives it what a worker of a page has. */
import { resolveObjectURL } from "node:buffer";
import { availableParallelism } from "node:os";
import { parentPort, workerData, Worker as Thread } from "node:worker_threads";
import { fetchFile } from "./file.js";

const { script } = workerData as { script: string };
const fetchRemote = globalThis.fetch;

/** A helper from a blob with a classic script. */
class Helper {
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onerror: ((event: { message: string; preventDefault(): void }) => void) | null = null;
  private readonly thread: Promise<Thread>;

  constructor(url: string) {
    this.thread = this.start(resolveObjectURL(url));
    this.thread.catch((error: unknown) => this.fail(error));
  }

  postMessage(message: unknown): void {
    void this.thread.then((thread) => thread.postMessage(message)).catch(() => undefined);
  }

  terminate(): void {
    void this.thread.then((thread) => thread.terminate()).catch(() => undefined);
  }

  private async start(source: ReturnType<typeof resolveObjectURL>): Promise<Thread> {
    const scope = `const { parentPort } = require("node:worker_threads");
      globalThis.postMessage = (data) => parentPort.postMessage(data);
      parentPort.on("message", (data) => globalThis.onmessage({ data }));\n`;
    const thread = new Thread(scope + (await source?.text()), { eval: true, execArgv: [] });
    thread.on("message", (data: unknown) => this.onmessage?.({ data }));
    thread.on("error", (error) => this.fail(error));
    return thread;
  }

  private fail(error: unknown): void {
    this.onerror?.({ message: String(error), preventDefault: () => undefined });
  }
}

const add = {
  self: globalThis,
  location: new URL(script),
  // Threads of one process may always share memory.
  crossOriginIsolated: true,
  Worker: Helper,
  // No picture is one of these.
  ImageBitmap: class {},
  ImageData: class {},
  addEventListener: (_: "message", listener: (event: { data: unknown }) => void) =>
    void parentPort?.on("message", (data: unknown) => listener({ data })),
  postMessage: (data: unknown) => parentPort?.postMessage(data),
  fetch: (input: string | URL | Request, init?: RequestInit) => {
    const url = input instanceof Request ? input.url : String(input);
    return url.startsWith("file:") ? fetchFile(url, new Headers(init?.headers)) : fetchRemote(input, init);
  },
};
Object.assign(globalThis, add);
// Node 20 has none, later ones have this part of it.
if (!("navigator" in globalThis)) Object.assign(globalThis, { navigator: { hardwareConcurrency: availableParallelism() } });
await import(script);
