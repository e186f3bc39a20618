/** The dedicated worker: owns the wasm module and the GPU, and answers the calls of `worker/protocol.ts` one after another. */
import { errorData, ocelliError } from "./errors.js";
import { importCheckpoint } from "./import/importer.js";
import type { ImportResult } from "./import/model-source.js";
import { sha256With } from "./store/hash.js";
import { PackageStore } from "./store/package-store.js";
import type { LoadReport } from "./store/report.js";
import initWasm, {
  CancelFlag,
  loadEngine,
  pictureSize,
  sha256,
  type ChatEvent,
  type ChatResult,
  type MemoryReport,
  type OcelliEngine,
  type Picture,
  type ScoreResult,
} from "./wasm/ocelli.js";
import { compileAhead } from "./worker/compile-ahead.js";
import { browserCaps } from "./worker/features.js";
import { readPicture } from "./worker/picture.js";
import {
  PROTOCOL_VERSION,
  type Call,
  type CallKind,
  type Calls,
  type FromWorker,
  type LoadResult,
  type PictureSource,
  type ToWorker,
} from "./worker/protocol.js";
import { loadTuning, saveTuning } from "./worker/tuning.js";

let engine: OcelliEngine | null = null;
/** Aborts what the engine's package store is doing. */
let closeStore: () => void = () => undefined;
/** Calls run one after another: there is one GPU and one KV cache. */
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
      return importModel(call, signal);
    case "load":
      return load(call, signal);
    case "chat":
      return chat(call, signal);
    case "memory":
      return Promise.resolve(loadedEngine().memory());
    case "preallocate":
      return preallocate(call);
    case "score":
      return score(call, signal);
  }
}

/** Checks that page and worker match, and loads the wasm module unless it is loaded. */
async function start({ version, wasmUrl }: { version: number; wasmUrl: string | null }): Promise<void> {
  if (version !== PROTOCOL_VERSION) {
    const detail = { page: version, worker: PROTOCOL_VERSION };
    throw ocelliError("protocol-mismatch", "the worker script is of another version of ocelli than the page's", detail);
  }
  await (wasmUrl ? initWasm({ module_or_path: wasmUrl }) : initWasm());
}

async function importModel(call: Call<"import">, signal: AbortSignal): Promise<ImportResult> {
  await start(call);
  const onReport = (report: LoadReport) => post({ kind: "event", id: call.id, event: report });
  const { source, options, storage } = call;
  return importCheckpoint(source, { options, storage, sha256: sha256With(sha256), signal, onReport });
}

async function load(call: Call<"load">, signal: AbortSignal): Promise<LoadResult> {
  if (!("gpu" in navigator)) {
    const reason = "this browser has no WebGPU, or the page is not in a secure context";
    throw ocelliError("webgpu-unavailable", `no usable GPU adapter: ${reason}`, { reason });
  }
  await start(call);
  closeStore();
  engine?.free();
  engine = null;

  const onReport = (report: LoadReport) => post({ kind: "event", id: call.id, event: report });
  const { packageUrl, mirrors, storage } = call;
  const store = new AbortController();
  const files = await PackageStore.open({
    packageUrl,
    mirrors,
    storage,
    sha256: sha256With(sha256),
    signal: AbortSignal.any([signal, store.signal]),
    onReport,
  });
  try {
    const { manifest, tokenizer, shards } = await files.index();
    const readShard = async (index: number) => {
      const bytes = await files.shard(index);
      if (index === shards - 1) onReport({ kind: "progress", stage: "prepare", loaded: 0, total: 0, cached: false });
      return bytes;
    };
    const known = await loadTuning();
    const onKernels = (loaded: number, total: number) => onReport({ kind: "progress", stage: "kernels", loaded, total, cached: false });
    const options = { ...call.options, browserCaps: await browserCaps(), known };
    engine = await loadEngine(manifest, tokenizer, readShard, options, onKernels, compileAhead);
    await saveTuning(known, engine.tuningKey(), engine.tuned());
    signal.throwIfAborted();
  } catch (thrown) {
    // When one shard fails, others may still be loading.
    store.abort();
    throw thrown;
  }
  closeStore = () => store.abort();
  onReport({ kind: "progress", stage: "ready", loaded: 0, total: 0, cached: false });
  return { device: engine.device(), memory: engine.memory(), kvPrecision: engine.kvPrecision(), config: engine.config() };
}

async function preallocate({ width, height }: Call<"preallocate">): Promise<MemoryReport> {
  await loadedEngine().preallocate(width, height);
  return loadedEngine().memory();
}

async function chat(call: Call<"chat">, signal: AbortSignal): Promise<ChatResult> {
  const onEvent = (event: ChatEvent) => post({ kind: "event", id: call.id, event });
  const pictures = await readPictures(call.pictures, signal, onEvent);
  return cancellable(signal, (cancel) => loadedEngine().chat(call.body, call.stamp, pictures, cancel, onEvent));
}

async function score(call: Call<"score">, signal: AbortSignal): Promise<ScoreResult> {
  const pictures = await readPictures(call.pictures, signal, () => undefined);
  return cancellable(signal, (cancel) => loadedEngine().score(call.body, pictures, cancel));
}

/** Runs `act` with a flag that is set when `signal` is aborted. */
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

async function readPictures(sources: PictureSource[], signal: AbortSignal, onEvent: (event: ChatEvent) => void): Promise<Picture[]> {
  const pictures: Picture[] = [];
  for (const [index, source] of sources.entries()) {
    const { picture, note } = await readPicture(source, pictureSize, signal);
    if (note) onEvent({ kind: "note", picture: index, message: note });
    pictures.push(picture);
  }
  return pictures;
}

function loadedEngine(): OcelliEngine {
  if (!engine) throw ocelliError("unloaded", "no model is loaded");
  return engine;
}

function post(message: FromWorker): void {
  postMessage(message);
}
