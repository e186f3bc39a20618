/** The page's side of the protocol: calls as promises, events as callbacks, cancellation by `AbortSignal`. */
import { OcelliError, ocelliError } from "../errors.js";
import type { CallKind, Calls, FromWorker, ToWorker } from "./protocol.js";

interface Pending {
  onMessage: (message: FromWorker) => void;
  reject: (reason: unknown) => void;
}

export interface CallOptions<K extends CallKind> {
  signal?: AbortSignal | undefined;
  /** `read` tells the worker that a frame has been read. */
  onEvent?: ((event: Calls[K]["event"], read: () => void) => void) | undefined;
}

/** A worker, or an object with the same interface. */
export interface EngineWorker {
  postMessage(message: ToWorker): void;
  terminate(): void;
  addEventListener(type: "message", listener: (event: MessageEvent<FromWorker>) => void): void;
  addEventListener(type: "error", listener: (event: ErrorEvent) => void): void;
  addEventListener(type: "messageerror", listener: () => void): void;
}

export class Connection {
  private nextId = 1;
  private readonly pending = new Map<number, Pending>();
  /** Resolves with the reason once no call succeeds any more. */
  readonly over: Promise<OcelliError>;
  private closed: OcelliError | null = null;
  private end: (reason: OcelliError) => void = () => undefined;

  constructor(private readonly worker: EngineWorker) {
    this.over = new Promise((resolve) => {
      this.end = resolve;
    });
    worker.addEventListener("message", ({ data }: MessageEvent<FromWorker>) => this.pending.get(data.id)?.onMessage(data));
    // After an uncaught exception, such as a panic in the wasm module, the worker's state cannot be relied on.
    worker.addEventListener("error", (event) => {
      const what = event.message ? `the worker failed: ${event.message}` : "the worker script could not be loaded";
      this.close(ocelliError("internal", what, { detail: what }));
    });
    worker.addEventListener("messageerror", () => this.close(ocelliError("internal", "a message could not be read")));
  }

  /** Resolves with the result; rejects with an `OcelliError`, or with `signal.reason` as soon as it is aborted. */
  call<K extends CallKind>(kind: K, request: Calls[K]["request"], { signal, onEvent }: CallOptions<K> = {}): Promise<Calls[K]["result"]> {
    const id = this.nextId++;
    return new Promise<Calls[K]["result"]>((resolve, reject) => {
      if (this.closed) return reject(this.closed);
      if (signal?.aborted) return reject(signal.reason);
      const cancel = () => {
        this.post({ kind: "cancel", id });
        settle();
        reject(signal?.reason);
      };
      const settle = () => {
        signal?.removeEventListener("abort", cancel);
        this.pending.delete(id);
      };
      signal?.addEventListener("abort", cancel);
      const onMessage = (message: FromWorker<K>) => {
        if (message.kind === "event") return onEvent?.(message.event, () => this.pending.has(id) && this.post({ kind: "read", id }));
        settle();
        if (message.kind === "result") resolve(message.result);
        else reject(new OcelliError(message.error));
      };
      // Messages are paired with calls by id, so those with this id belong to a call of kind K.
      this.pending.set(id, { onMessage: onMessage as Pending["onMessage"], reject });
      try {
        this.post({ kind, id, ...request } as ToWorker);
      } catch (thrown) {
        settle();
        reject(thrown);
      }
    });
  }

  /** Terminates the worker; all pending and later calls are rejected with `reason`. */
  close(reason: OcelliError): void {
    if (this.closed) return;
    this.closed = reason;
    this.worker.terminate();
    this.end(reason);
    for (const { reject } of this.pending.values()) reject(reason);
    this.pending.clear();
  }

  private post(message: ToWorker): void {
    if (!this.closed) this.worker.postMessage(message);
  }
}
