/** The dedicated worker: owns the wasm module and the GPU, answers the calls of `protocol.ts` one after another. */
import { errorData, ocelliError } from "./errors.js";
import { browserCaps } from "./features.js";
import { sha256With } from "./hash.js";
import { importModel } from "./import.js";
import { readPicture, type Picture } from "./picture.js";
import {
  PROTOCOL_VERSION,
  type Call,
  type Calls,
  type CallKind,
  type ChatEvent,
  type CompletionResult,
  type DeviceReport,
  type FromWorker,
  type ImportResult,
  type KvPrecision,
  type LoadReport,
  type LoadResult,
  type MemoryReport,
  type PictureSource,
  type ScoreResult,
  type ToWorker,
} from "./protocol.js";
import { PackageStore } from "./store.js";
import { recall, remember, type Tuned } from "./tuning.js";
import initWasm, { CancelFlag, loadEngine, type OcelliEngine, pictureSize, sha256 } from "./wasm/ocelli.js";

let engine: OcelliEngine | null = null;
/** Ends what the engine's package has under way. */
let endUse: () => void = () => undefined;
/** Calls wait for the one before them: there is one GPU and one key-value cache. */
let queue: Promise<unknown> = Promise.resolve();
const running = new Map<number, AbortController>();

addEventListener("message", ({ data }: MessageEvent<ToWorker>) => {
  if (data.kind === "cancel") running.get(data.id)?.abort();
  else enqueue(data);
});

function enqueue(call: Call): void {
  const controller = new AbortController();
  running.set(call.id, controller);
  queue = queue.then(() => answer(call, controller.signal)).finally(() => running.delete(call.id));
}

async function answer(call: Call, signal: AbortSignal): Promise<void> {
  try {
    signal.throwIfAborted();
    post({ kind: "result", id: call.id, result: await run(call, signal) });
  } catch (thrown) {
    post({ kind: "error", id: call.id, error: errorData(thrown) });
  }
}

function run(call: Call, signal: AbortSignal): Promise<Calls[CallKind]["result"]> {
  switch (call.kind) {
    case "import":
      return importing(call, signal);
    case "load":
      return load(call, signal);
    case "chat":
      return chat(call, signal);
    case "memory":
      return Promise.resolve(loaded().memory() as MemoryReport);
    case "preallocate":
      return preallocate(call);
    case "score":
      return score(call, signal);
    case "unload":
      return unload();
  }
}

/** What the first call of a page needs. */
async function start({ version, wasmUrl }: { version: number; wasmUrl: string | null }): Promise<void> {
  if (version !== PROTOCOL_VERSION) {
    const detail = { page: version, worker: PROTOCOL_VERSION };
    throw ocelliError("protocol-mismatch", "the worker script is of another version of ocelli than the page's", detail);
  }
  await (wasmUrl ? initWasm({ module_or_path: wasmUrl }) : initWasm());
}

async function importing(call: Call<"import">, signal: AbortSignal): Promise<ImportResult> {
  await start(call);
  const onReport = (report: LoadReport) => post({ kind: "event", id: call.id, event: report });
  const { source, options, storage } = call;
  return importModel(source, { options, storage, sha256: sha256With(sha256), signal, onReport });
}

async function load(call: Call<"load">, signal: AbortSignal): Promise<LoadResult> {
  if (!("gpu" in navigator)) {
    const reason = "this browser has no WebGPU, or the page is not in a secure context";
    throw ocelliError("webgpu-unavailable", `no usable GPU adapter: ${reason}`, { reason });
  }
  await unload();
  await start(call);

  const onReport = (report: LoadReport) => post({ kind: "event", id: call.id, event: report });
  const { packageUrl, mirrors, storage } = call;
  const use = new AbortController();
  const open = AbortSignal.any([signal, use.signal]);
  const store = await PackageStore.open({ packageUrl, mirrors, storage, sha256: sha256With(sha256), signal: open, onReport });
  try {
    const { manifest, tokenizer, shards } = await store.index();
    const readShard = async (index: number): Promise<unknown> => {
      const bytes = await store.shard(index);
      if (index === shards - 1) onReport({ kind: "progress", stage: "prepare", loaded: 0, total: 0, cached: false });
      return bytes;
    };
    const known = await recall();
    const onKernels = (loaded: number, total: number) =>
      onReport({ kind: "progress", stage: "kernels", loaded, total, cached: false });
    engine = await loadEngine(manifest, tokenizer, readShard, { ...call.options, browserCaps: await browserCaps(), known }, onKernels);
    await remember(known, engine.tuningKey(), engine.tuned() as Tuned);
    signal.throwIfAborted();
  } catch (thrown) {
    // Shards may be on their way when the upload of another fails.
    use.abort();
    throw thrown;
  }
  endUse = () => use.abort();
  onReport({ kind: "progress", stage: "ready", loaded: 0, total: 0, cached: false });
  const kvPrecision = engine.kvPrecision() as KvPrecision;
  const memory = engine.memory() as MemoryReport;
  return { device: engine.device() as DeviceReport, memory, kvPrecision, config: engine.config() as unknown };
}

async function preallocate({ width, height }: Call<"preallocate">): Promise<MemoryReport> {
  await loaded().preallocate(width, height);
  return loaded().memory() as MemoryReport;
}

async function chat(call: Call<"chat">, signal: AbortSignal): Promise<CompletionResult> {
  const onEvent = (event: ChatEvent) => post({ kind: "event", id: call.id, event });
  const pictures = await readPictures(call.pictures, signal, onEvent);
  const answer = await cancellable(signal, (cancel) => loaded().chat(call.body, pictures, cancel, onEvent));
  return answer as CompletionResult;
}

async function score(call: Call<"score">, signal: AbortSignal): Promise<ScoreResult> {
  const pictures = await readPictures(call.pictures, signal, () => undefined);
  return (await cancellable(signal, (cancel) => loaded().score(call.body, pictures, cancel))) as ScoreResult;
}

/** Runs `act` with a flag that the signal sets. */
async function cancellable<T>(signal: AbortSignal, act: (cancel: CancelFlag) => Promise<T>): Promise<T> {
  signal.throwIfAborted();
  const cancel = new CancelFlag();
  const stop = () => cancel.cancel();
  signal.addEventListener("abort", stop);
  try {
    return await act(cancel);
  } finally {
    signal.removeEventListener("abort", stop);
    cancel.free();
  }
}

async function unload(): Promise<null> {
  endUse();
  engine?.free();
  engine = null;
  return null;
}

async function readPictures(
  sources: PictureSource[],
  signal: AbortSignal,
  onEvent: (event: ChatEvent) => void,
): Promise<Picture[]> {
  const pictures: Picture[] = [];
  for (const [index, source] of sources.entries()) {
    const { picture, note } = await readPicture(source, pictureSize, signal);
    if (note) onEvent({ kind: "note", picture: index, message: note });
    pictures.push(picture);
  }
  return pictures;
}

function loaded(): OcelliEngine {
  if (!engine) throw ocelliError("unloaded", "no model is loaded");
  return engine;
}

function post(message: FromWorker): void {
  postMessage(message);
}
