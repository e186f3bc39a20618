/**
 * Chrome's Prompt API for any model: `languageModel(model)` has the shape of the global `LanguageModel`. No global is changed; to replace
 * it, write `globalThis.LanguageModel ??= languageModel(model)`.
 */
import { Engine, packages, type LoadOptions, type LoadReport, type ModelSource } from "../index.js";
import { Once } from "../once.js";
import { packageUrl } from "../store/packages.js";
import { failure, failureOf } from "./failure.js";
import { PARAMS } from "./params.js";
import { Session } from "./session.js";
import type { Availability, CoreOptions, CreateOptions, Monitor, Params } from "./types.js";

export type { Session } from "./session.js";
export type * from "./types.js";

/** Members of `LanguageModel` that need no session. */
export interface LanguageModelFactory {
  /** Availability of sessions: immediately, after a download, or not at all. */
  availability(options?: CoreOptions): Promise<Availability>;
  /** Opens a session. The first one loads the model for all. */
  create(options?: CreateOptions): Promise<Session>;
  /** Sampling values that older code asks for. */
  params(): Promise<Params>;
  /** The engine, after a session has been created. */
  readonly engine: Promise<Engine> | null;
}

/** The Prompt API over a model or a loaded engine. */
export function languageModel(model: ModelSource | Engine, options: LoadOptions = {}): LanguageModelFactory {
  return new Factory(model, options);
}

class Factory implements LanguageModelFactory {
  private readonly loaded = new Once(() => this.load());
  private isReady = false;
  private readonly monitors = new Set<Monitor>();

  constructor(
    private readonly model: ModelSource | Engine,
    private readonly options: LoadOptions,
  ) {
    this.isReady = model instanceof Engine;
  }

  get engine(): Promise<Engine> | null {
    return this.model instanceof Engine ? Promise.resolve(this.model) : this.loaded.current;
  }

  async availability(options: CoreOptions = {}): Promise<Availability> {
    checkSampling(options);
    if (!isSupported(options) || !(this.isReady || globalThis.navigator?.gpu)) return "unavailable";
    if (this.isReady) return "available";
    if (this.engine) return "downloading";
    const { model } = this;
    if (typeof model !== "string" && !(model instanceof URL)) return "downloadable";
    const folder = packageUrl(model);
    const stored = await packages.list();
    return stored.some(({ url, complete }) => complete && url === folder) ? "available" : "downloadable";
  }

  async create(options: CreateOptions = {}): Promise<Session> {
    const { signal, monitor, initialPrompts = [] } = options;
    signal?.throwIfAborted();
    checkSampling(options);
    if (!isSupported(options)) throw failure("NotSupportedError", "only text and pictures in, and text out");
    const target = Object.assign(new EventTarget(), { ondownloadprogress: null }) as Monitor;
    monitor?.(target);
    this.monitors.add(target);
    try {
      const engine = await unlessAborted(this.engine ?? this.loaded.get(), signal);
      const session = await Session.open(engine, options, initialPrompts);
      signal?.throwIfAborted();
      signal?.addEventListener("abort", () => session.destroy(signal.reason), { once: true });
      return session;
    } catch (thrown) {
      throw failureOf(thrown);
    } finally {
      this.monitors.delete(target);
    }
  }

  async params(): Promise<Params> {
    return PARAMS;
  }

  private async load(): Promise<Engine> {
    const onProgress = (report: LoadReport) => {
      this.options.onProgress?.(report);
      if (report.kind === "progress" && report.stage === "weights" && report.total > 0) this.tell(report.loaded / report.total);
    };
    this.tell(0);
    const engine = await Engine.load(this.model as ModelSource, { ...this.options, onProgress });
    this.isReady = true;
    void engine.closed.then(() => {
      this.isReady = false;
      this.loaded.forget();
    });
    this.tell(1);
    return engine;
  }

  private tell(loaded: number): void {
    for (const monitor of this.monitors) {
      const event = new ProgressEvent("downloadprogress", { lengthComputable: true, loaded, total: 1 });
      monitor.ondownloadprogress?.(event);
      monitor.dispatchEvent(event);
    }
  }
}

/** An aborted caller does not end the load for others. */
function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  const aborted = new Promise<never>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true }));
  return Promise.race([promise, aborted]);
}

function isSupported({ expectedInputs = [], expectedOutputs = [] }: CoreOptions): boolean {
  const takes = ["text", "image", "tool-response"];
  return (
    expectedInputs.every(({ type }) => takes.includes(type)) && expectedOutputs.every(({ type }) => ["text", "tool-call"].includes(type))
  );
}

function checkSampling({ samplingMode, topK, temperature }: CoreOptions): void {
  if (samplingMode !== undefined && (topK !== undefined || temperature !== undefined)) {
    throw new TypeError("samplingMode excludes topK and temperature");
  }
  if (temperature !== undefined && !(temperature >= 0)) throw new RangeError("temperature is below 0");
  if (topK !== undefined && !(topK >= 1)) throw new RangeError("topK is below 1");
}
