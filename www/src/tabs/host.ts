/** The host of a shared engine, which owns the worker: it forwards the calls of all tabs under its own ids. */
import type { ErrorData } from "../errors.js";
import type { Call, FromWorker, ToWorker } from "../worker/protocol.js";
import { ownName, type ToAll, type ToHost, type ToTab } from "./messages.js";

/** A call of a tab. */
interface Caller {
  tab: string;
  id: number;
}

/** A call that is made once for all tabs. */
interface Shared {
  kind: Call["kind"];
  callers: Caller[];
  result: FromWorker | null;
  /** True if it continues after the last tab that waited for it has left. */
  isKept: boolean;
}

export class Host {
  /** Resolves when this tab stops being the host. */
  readonly over: Promise<void>;
  private readonly id = crypto.randomUUID();
  private readonly all: BroadcastChannel;
  private readonly tabs = new Map<string, BroadcastChannel>();
  private readonly callers = new Map<number, Caller>();
  /** `import` and `load` calls by their ids in the worker. */
  private readonly shared = new Map<number, Shared>();
  /** Calls received before the model was loaded. */
  private waiting: { caller: Caller; call: Call }[] = [];
  private isLoaded = false;
  private nextId = 1;
  private readonly closing = new AbortController();
  private end: () => void = () => undefined;

  /** `load`: the call that loaded the model in the previous host. */
  constructor(
    private readonly key: string,
    private readonly worker: Worker,
    private load: Call | null,
  ) {
    this.over = new Promise((resolve) => {
      this.end = resolve;
    });
    worker.addEventListener("message", ({ data }: MessageEvent<FromWorker>) => this.answer(data));
    worker.addEventListener("error", ({ message }) => this.fail(message));
    worker.addEventListener("messageerror", () => this.fail("a message could not be read"));
    this.all = new BroadcastChannel(key);
    this.all.addEventListener("message", ({ data }: MessageEvent<ToAll>) => data.kind === "hello" && this.welcome(data.tab));
    if (load) this.share(null, load);
    this.all.postMessage({ kind: "host" } satisfies ToAll);
  }

  /** True if other tabs use this engine, too. */
  get hasOthers(): boolean {
    return this.tabs.size > 1;
  }

  close(): void {
    if (this.closing.signal.aborted) return;
    this.closing.abort();
    this.worker.terminate();
    this.all.close();
    for (const channel of this.tabs.values()) channel.close();
    this.end();
  }

  private welcome(tab: string): void {
    if (!this.tabs.has(tab)) {
      const name = ownName(this.key, tab);
      const channel = new BroadcastChannel(name);
      this.tabs.set(tab, channel);
      channel.addEventListener("message", ({ data }: MessageEvent<ToHost>) => this.onMessage(tab, data));
      // Granted when the tab is closed or has crashed.
      navigator.locks.request(name, { signal: this.closing.signal }, () => this.forget(tab)).catch(() => undefined);
    }
    this.send(tab, { kind: "welcome", host: this.id });
  }

  private forget(tab: string): void {
    for (const caller of this.callersOf(tab)) this.cancel(caller);
    this.tabs.get(tab)?.close();
    this.tabs.delete(tab);
  }

  private callersOf(tab: string): Caller[] {
    const lists = [
      [...this.callers.values()],
      this.waiting.map(({ caller }) => caller),
      ...[...this.shared.values()].map((one) => one.callers),
    ];
    return lists.flat().filter((caller) => caller.tab === tab);
  }

  private onMessage(tab: string, message: ToHost): void {
    const caller = { tab, id: message.id };
    if (message.kind === "cancel") return this.cancel(caller);
    if (message.kind === "read") {
      const id = this.workersId(caller);
      if (id !== undefined) this.post({ kind: "read", id });
    } else if (message.kind === "import" || message.kind === "load") this.share(caller, message);
    else if (this.isLoaded) this.pass(caller, message);
    else {
      this.waiting.push({ caller, call: message });
      // The last attempt may have failed.
      if (this.load) this.share(null, this.load);
    }
  }

  private pass(caller: Caller, call: Call): void {
    const id = this.nextId++;
    this.callers.set(id, caller);
    this.post({ ...call, id });
  }

  /** Makes a call, or joins the same call of another tab. */
  private share(caller: Caller | null, call: Call): void {
    if (call.kind === "load") this.load = call;
    const known = [...this.shared.values()].find(({ kind }) => kind === call.kind);
    if (!known) {
      const id = this.nextId++;
      this.shared.set(id, { kind: call.kind, callers: caller ? [caller] : [], result: null, isKept: !caller });
      return this.post({ ...call, id });
    }
    if (!caller) return;
    if (known.result) this.reply(caller, known.result);
    else known.callers.push(caller);
  }

  private cancel(caller: Caller): void {
    this.waiting = this.waiting.filter((entry) => !isSame(entry.caller, caller));
    const id = this.workersId(caller);
    if (id !== undefined) {
      this.callers.delete(id);
      this.post({ kind: "cancel", id });
    }
    for (const [id, shared] of this.shared) {
      const others = shared.callers.filter((other) => !isSame(other, caller));
      const isLast = others.length === 0 && shared.callers.length > 0 && !shared.result && !shared.isKept;
      shared.callers = others;
      if (!isLast) continue;
      this.shared.delete(id);
      this.post({ kind: "cancel", id });
    }
  }

  private answer(message: FromWorker): void {
    const shared = this.shared.get(message.id);
    if (shared) {
      for (const caller of shared.callers) this.reply(caller, message);
      if (message.kind === "event") return;
      shared.callers = [];
      if (message.kind === "error") this.shared.delete(message.id);
      else shared.result = message;
      if (shared.kind === "load") this.loaded(message.kind === "error" ? message.error : null);
      return;
    }
    const caller = this.callers.get(message.id);
    if (!caller) return;
    if (message.kind !== "event") this.callers.delete(message.id);
    this.reply(caller, message);
  }

  private loaded(error: ErrorData | null): void {
    const waiting = this.waiting;
    this.waiting = [];
    this.isLoaded = error === null;
    for (const { caller, call } of waiting) {
      if (error) this.reply(caller, { kind: "error", id: caller.id, error });
      else this.pass(caller, call);
    }
  }

  private fail(what: string): void {
    for (const tab of this.tabs.keys()) this.send(tab, { kind: "failed", what });
    this.close();
  }

  private workersId(caller: Caller): number | undefined {
    for (const [id, other] of this.callers) if (isSame(other, caller)) return id;
    return undefined;
  }

  private reply({ tab, id }: Caller, message: FromWorker): void {
    this.send(tab, { kind: "message", message: { ...message, id } });
  }

  private send(tab: string, message: ToTab): void {
    this.tabs.get(tab)?.postMessage(message);
  }

  private post(message: ToWorker): void {
    this.worker.postMessage(message);
  }
}

function isSame(one: Caller, other: Caller): boolean {
  return one.tab === other.tab && one.id === other.id;
}
