/**
 * One tab's side of a worker that all tabs of an origin share. One tab, the host, owns the worker; when it closes or is killed, another
 * becomes the host, loads the model again and receives the unanswered calls again. A request carries its own seed, so the answer is the
 * same; frames that had already arrived are skipped.
 */
import type { EngineWorker } from "../worker/connection.js";
import type { Call, FromWorker, ToWorker } from "../worker/protocol.js";
import { Host } from "./host.js";
import { ownName, type ToAll, type ToTab } from "./messages.js";

/** A call that has not been answered. */
interface Open {
  call: Call;
  hasHead: boolean;
  /** Frames received, and frames read. */
  frames: number;
  read: number;
  /** After a change of host: frames that arrive a second time, and frames of the first time that are still unread. */
  again: number;
  unread: number;
}

export class TabWorker implements EngineWorker {
  private readonly events = new EventTarget();
  private readonly tab = crypto.randomUUID();
  private readonly all: BroadcastChannel;
  private readonly own: BroadcastChannel;
  private readonly open = new Map<number, Open>();
  private readonly closing = new AbortController();
  private readonly closed: Promise<void>;
  private close: () => void = () => undefined;
  private isKnown = false;
  /** The host's id, after its first answer. */
  private host: string | null = null;
  /** The host, if it is this tab. */
  private hosting: Host | null = null;
  private load: Call | null = null;

  /** `key` identifies the shared engine; `start` starts a worker. */
  constructor(
    private readonly key: string,
    private readonly start: () => Worker,
  ) {
    this.closed = new Promise((resolve) => {
      this.close = resolve;
    });
    this.all = new BroadcastChannel(key);
    this.all.addEventListener("message", ({ data }: MessageEvent<ToAll>) => data.kind === "host" && this.hello());
    const name = ownName(key, this.tab);
    this.own = new BroadcastChannel(name);
    this.own.addEventListener("message", ({ data }: MessageEvent<ToTab>) => this.onMessage(data));
    void this.holding(name, () => {
      this.isKnown = true;
      this.hello();
      return this.closed;
    });
    void this.leadInTurn();
  }

  addEventListener(type: string, listener: (event: never) => void): void {
    this.events.addEventListener(type, listener as EventListener);
  }

  postMessage(message: ToWorker): void {
    if (message.kind === "read") {
      const open = this.open.get(message.id);
      if (!open) return;
      open.read++;
      if (open.unread > 0) open.unread--;
      else this.send(message);
    } else if (message.kind === "cancel") {
      this.open.delete(message.id);
      this.send(message);
    } else {
      const call = portable(message);
      if (call.kind === "load") this.load = call;
      this.open.set(call.id, { call, hasHead: false, frames: 0, read: 0, again: 0, unread: 0 });
      this.send(call);
    }
  }

  terminate(): void {
    this.closing.abort();
    this.close();
    this.hosting?.close();
    this.all.close();
    this.own.close();
  }

  /** Holds a lock while `act` runs. */
  private async holding(name: string, act: () => Promise<void>): Promise<void> {
    try {
      await navigator.locks.request(name, { signal: this.closing.signal }, act);
    } catch (thrown) {
      if (!this.closing.signal.aborted) this.fail(String(thrown));
    }
  }

  private hello(): void {
    if (this.isKnown && !this.closing.signal.aborted) this.all.postMessage({ kind: "hello", tab: this.tab } satisfies ToAll);
  }

  /** Hosts the engine whenever it is this tab's turn. */
  private async leadInTurn(): Promise<void> {
    do await this.holding(this.key, () => this.lead());
    while (this.hosting === null && !this.closing.signal.aborted);
  }

  /** A frozen tab receives messages, but its worker stands still: it leaves the engine to another tab before, if there is one. */
  private async lead(): Promise<void> {
    const host = new Host(this.key, this.start(), this.load);
    this.hosting = host;
    const leave = () => {
      if (!host.hasOthers) return;
      this.hosting = null;
      host.close();
    };
    globalThis.document?.addEventListener("freeze", leave);
    await host.over;
    globalThis.document?.removeEventListener("freeze", leave);
  }

  private send(message: ToWorker): void {
    if (this.host !== null) this.own.postMessage(message);
  }

  private onMessage(message: ToTab): void {
    if (message.kind === "welcome") this.turnTo(message.host);
    else if (message.kind === "failed") this.fail(message.what);
    else if (this.isNew(message.message)) this.events.dispatchEvent(new MessageEvent("message", { data: message.message }));
  }

  /** Sends the unanswered calls to a new host. */
  private turnTo(host: string): void {
    if (this.host === host) return;
    this.host = host;
    for (const open of this.open.values()) {
      open.again = open.frames;
      open.unread = open.frames - open.read;
      this.send(open.call);
    }
  }

  /** True if the page has not received this before. */
  private isNew(message: FromWorker): boolean {
    const open = this.open.get(message.id);
    if (!open) return false;
    if (message.kind !== "event") return this.open.delete(message.id);
    const { event } = message;
    if (typeof event !== "object") return true;
    if (event.kind === "head") {
      const had = open.hasHead;
      open.hasHead = true;
      return !had;
    }
    if (event.kind !== "frame") return true;
    if (open.again === 0) {
      open.frames++;
      return true;
    }
    open.again--;
    this.send({ kind: "read", id: message.id });
    return false;
  }

  private fail(message: string): void {
    this.events.dispatchEvent(new ErrorEvent("error", { message }));
  }
}

/** Replaces every `ImageBitmap` by its pixels, because some browsers cannot send one to another tab. */
function portable(call: Call): Call {
  if (!("pictures" in call)) return call;
  return { ...call, pictures: call.pictures.map((picture) => (picture instanceof ImageBitmap ? pixels(picture) : picture)) };
}

function pixels(picture: ImageBitmap): ImageData {
  const { width, height } = picture;
  const canvas = new OffscreenCanvas(width, height).getContext("2d");
  if (!canvas) throw new DOMException("the picture cannot be drawn", "DataCloneError");
  canvas.drawImage(picture, 0, 0);
  return canvas.getImageData(0, 0, width, height); // [height, width, 4]
}
