/** The dedicated worker: owns the wasm module and the GPU, and answers the calls of `worker/protocol.ts`. */
import { errorData, isAbort, ocelliError, type OcelliError } from "./errors.js";
import { importCheckpoint } from "./import/importer.js";
import type { ImportResult } from "./import/model-source.js";
import { type ModuleUrls, WasmModule } from "./net/wasm-module.js";
import { sha256With } from "./store/hash.js";
import { PackageStore } from "./store/package-store.js";
import type { LoadReport } from "./store/report.js";
import { SnapshotFolder } from "./store/snapshots.js";
import initWasm, {
  RequestHandle,
  errorReply,
  loadEngine,
  sha256,
  type AnswerEvent,
  type ChatEvent,
  type EngineLoadEvent,
  type MemoryReport,
  type OcelliEngine,
  type OcelliService,
  type Picture,
  type PictureUrl,
  type ScoreResult,
  type UsageReport,
} from "./wasm/ocelli.js";
import { runBench } from "./worker/bench.js";
import type { BenchReport } from "./worker/bench-types.js";
import { Accounts, report } from "./worker/budgets.js";
import { browserDevice } from "./worker/browser-device.js";
import { closeProcessor, openProcessor } from "./worker/cpu.js";
import { EngineLoop } from "./worker/engine-loop.js";
import { browserCaps, whyNoGpu } from "./worker/features.js";
import { Formats } from "./worker/formats.js";
import { decodeFile, loadPictureFiles } from "./worker/picture-files.js";
import { readPicture } from "./worker/picture.js";
import {
  PROTOCOL_VERSION,
  type ApiReply,
  type ApiRequest,
  type Call,
  type CallKind,
  type Calls,
  type FromWorker,
  type LoadResult,
  type PictureSource,
  type ToWorker,
  type WireRequest,
} from "./worker/protocol.js";
import { Request } from "./worker/request.js";
import { loadTuning, saveTuning } from "./worker/tuning.js";

let engine: OcelliEngine | null = null;
/** Reads requests for the engine, also while it is busy. */
let service: OcelliService | null = null;
let formats: Formats | null = null;
let modules: ModuleUrls | null = null;
let accounts: Accounts | null = null;
/** Credentials of requests for pictures. */
let credentials: RequestCredentials = "omit";
const engineModule = new WasmModule("engine", initWasm);
/** Aborts the work of the engine's package store. */
let closeStore: () => void = () => undefined;
const loop = new EngineLoop();
const running = new Map<number, AbortController>();
const requests = new Map<number, Request>();

addEventListener("message", ({ data }: MessageEvent<ToWorker>) => {
  if (data.kind === "cancel") running.get(data.id)?.abort();
  else if (data.kind === "read") requests.get(data.id)?.read();
  else void answer(data);
});

async function answer(call: Call): Promise<void> {
  const controller = new AbortController();
  running.set(call.id, controller);
  try {
    post({ kind: "result", id: call.id, result: await run(call, controller.signal) });
  } catch (thrown) {
    post({ kind: "error", id: call.id, error: errorData(thrown) });
  } finally {
    running.delete(call.id);
  }
}

/** Runs `act` while no request is computed. */
function alone<T>(signal: AbortSignal, act: () => Promise<T>): Promise<T> {
  return loop.alone(() => {
    signal.throwIfAborted();
    return act();
  });
}

function run(call: Call, signal: AbortSignal): Promise<Calls[CallKind]["result"]> {
  switch (call.kind) {
    case "import":
      return alone(signal, () => importModel(call, signal));
    case "load":
      return alone(signal, () => load(call, signal));
    case "answer":
      return respond(call, signal, () => undefined);
    case "fetch":
      return reply(call, signal);
    case "memory":
      return alone(signal, () => Promise.resolve(loadedEngine().memory()));
    case "clearCache":
      return alone(signal, () => loadedEngine().clearSnapshots());
    case "bench":
      return alone(signal, () => bench(call, signal));
    case "preallocate":
      return alone(signal, () => preallocate(call));
    case "score":
      return score(call, signal);
    case "usage":
      return usage();
  }
}

/** Requires that the page and this worker are of the same build. */
function checkVersion({ version }: { version: number }): void {
  if (version === PROTOCOL_VERSION) return;
  const detail = { page: version, worker: PROTOCOL_VERSION };
  throw ocelliError("protocol-mismatch", "the worker script is of another version of ocelli than the page's", detail);
}

async function importModel(call: Call<"import">, signal: AbortSignal): Promise<ImportResult> {
  checkVersion(call);
  const onReport = (report: LoadReport) => post({ kind: "event", id: call.id, event: report });
  const { source, options, storage, modules } = call;
  return importCheckpoint(source, { options, storage, modules, signal, onReport });
}

async function load(call: Call<"load">, signal: AbortSignal): Promise<LoadResult> {
  checkVersion(call);
  if (call.device === "gpu" && !("gpu" in navigator)) {
    const reason = "this browser has no WebGPU, or the page is not in a secure context";
    throw ocelliError("webgpu-unavailable", `no usable GPU adapter: ${reason}`, { reason });
  }
  const urls = call.modules;
  modules = urls;
  await engineModule.load(urls);
  accounts = new Accounts(call.budgets);
  closeStore();
  loop.use(null);
  service?.free();
  formats?.free();
  engine?.free();
  engine = service = formats = null;
  closeProcessor();

  const onReport = (report: LoadReport) => post({ kind: "event", id: call.id, event: report });
  let reason: string | null = null;
  const { packageUrl, manifestSha256, mirrors, storage } = call;
  credentials = call.credentials;
  const store = new AbortController();
  const files = await PackageStore.open({
    packageUrl,
    manifestSha256,
    mirrors,
    network: { credentials },
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
    let saved = Promise.resolve();
    const onEvent = (event: EngineLoadEvent) => {
      if (event.kind === "trial") saved = saved.then(() => saveTuning(known, event.key, event.tuned));
      else if (event.kind === "processor") onReport(gpuNotUsed(event));
      else onReport({ kind: "progress", stage: "kernels", loaded: event.done, total: event.total, cached: false });
    };
    reason = call.device === "auto" ? await whyNoGpu() : null;
    const device = reason === null ? call.device : "cpu";
    const options = { ...call.options, device, browserCaps: await browserCaps(), known };
    const processor = () => openProcessor(urls, call.threads);
    engine = await loadEngine(manifest, tokenizer, readShard, options, onEvent, browserDevice, decodeFile, processor);
    await saved;
    await saveTuning(known, engine.tuningKey(), engine.tuned());
    if (call.cacheBytes !== null) await keep(engine, call.cacheBytes, onReport);
    signal.throwIfAborted();
    formats = new Formats(engine.vocabulary(), urls);
    const { model, aliases, embeddings } = call;
    service = engine.service({ model, aliases, embeddings, created: Math.floor(Date.now() / 1000) });
  } catch (thrown) {
    // When one shard fails, others may still be loading.
    store.abort();
    throw thrown;
  }
  closeStore = () => store.abort();
  loop.use(engine);
  onReport({ kind: "progress", stage: "ready", loaded: 0, total: 0, cached: false });
  // Loaded early, so that the first picture does not wait. A failure is repeated, and reported, with that picture.
  void pictureFiles().catch(() => undefined);
  return {
    device: reason === null ? engine.device() : { ...engine.device(), reason },
    memory: engine.memory(),
    kvPrecision: engine.kvPrecision(),
    config: engine.config(),
    mostTogether: engine.maxBatch(),
  };
}

/** The warning that the processor replaces a GPU. */
function gpuNotUsed({ cause, reason }: { cause: string; reason: string }): LoadReport {
  return { kind: "warning", code: "gpu-not-used", message: `the model runs on the processor, because ${reason}`, detail: { cause } };
}

/** Opens the files for conversations. Without file storage the model is used without them. */
async function keep(engine: OcelliEngine, bytes: number, onReport: (report: LoadReport) => void): Promise<void> {
  try {
    await engine.openSnapshots(await SnapshotFolder.open(), bytes);
  } catch (thrown) {
    const { code, message } = errorData(thrown);
    if (code === "invalid-request") throw thrown;
    onReport({ kind: "warning", code: "storage-unavailable", message: `conversations are not kept: ${message}`, detail: null });
  }
}

async function bench(call: Call<"bench">, signal: AbortSignal): Promise<BenchReport> {
  const onFigure = (line: string) => post({ kind: "event", id: call.id, event: line });
  return cancellable(signal, (cancel) => runBench(loadedEngine(), call.options, cancel, onFigure));
}

async function preallocate({ width, height }: Call<"preallocate">): Promise<MemoryReport> {
  await loadedEngine().preallocate(width, height);
  return loadedEngine().memory();
}

/** Answers a request of the API. `onHead` is called at the start of a stream. */
async function respond(call: ApiRequest & { id: number }, signal: AbortSignal, onHead: () => void): Promise<string> {
  signal.throwIfAborted();
  if (!service || !accounts) throw unloaded();
  const within = accounts;
  const work = service.open(call.method, call.path, call.body, call.stamp);
  const onEvent = (event: AnswerEvent) => post({ kind: "event", id: call.id, event });
  const begin = work.isStream() ? onHead : () => undefined;
  const onAdmitted = () => {
    begin();
    void within.save();
  };
  const request = new Request(loop, onEvent, onAdmitted);
  const cancel = () => request.cancel();
  let isHandedOver = false;
  try {
    const body = work.body();
    if (body !== undefined) return body;
    const isCounted = await within.bill(work);
    const grammar = await formats?.ready(work);
    signal.throwIfAborted();
    // A budget refuses before the head of a stream.
    if (!isCounted) begin();
    work.show(await readPictures(work.pictures(), call, signal, onEvent));
    if (grammar) work.constrain(grammar);
    signal.throwIfAborted();
    isHandedOver = true;
    requests.set(call.id, request);
    signal.addEventListener("abort", cancel, { once: true });
    return await request.submit(work, call.isBatch).finally(() => (isCounted ? within.save() : undefined));
  } finally {
    requests.delete(call.id);
    signal.removeEventListener("abort", cancel);
    if (!isHandedOver) work.free();
    request.free();
  }
}

/** Like `respond`, with errors as API replies. */
async function reply(call: Call<"fetch">, signal: AbortSignal): Promise<ApiReply> {
  try {
    const body = await respond(call, signal, () => post({ kind: "event", id: call.id, event: { kind: "head" } }));
    return { status: 200, body, may_retry: null };
  } catch (thrown) {
    const { code, message, detail } = errorData(thrown);
    if (code === "aborted") throw thrown;
    const field = detail?.["field"] ?? detail?.["pointer"] ?? (code === "model-not-found" ? "model" : undefined);
    const reply = errorReply(call.path, code, message, typeof field === "string" ? field : undefined);
    if (code !== "budget-exceeded") return reply;
    const { error, ...around } = JSON.parse(reply.body) as { error: object };
    return { ...reply, body: JSON.stringify({ ...around, error: { ...error, detail } }), retry_after: detail?.["retry_after"] };
  }
}

async function usage(): Promise<UsageReport> {
  if (!modules) throw unloaded();
  await engineModule.load(modules);
  return report();
}

async function score(call: Call<"score">, signal: AbortSignal): Promise<ScoreResult> {
  const named = call.pictures.map((_, index) => ({ url: `picture:${index}`, field: `images[${index}]` }));
  const pictures = await readPictures(named, call, signal, () => undefined);
  return alone(signal, () => cancellable(signal, (cancel) => loadedEngine().score(call.body, pictures, cancel)));
}

/** Runs `act` with a handle that is cancelled when `signal` is aborted. */
async function cancellable<T>(signal: AbortSignal, act: (cancel: RequestHandle) => Promise<T>): Promise<T> {
  signal.throwIfAborted();
  const cancel = new RequestHandle();
  const stop = () => cancel.cancel();
  signal.addEventListener("abort", stop);
  try {
    return await act(cancel);
  } finally {
    signal.removeEventListener("abort", stop);
    cancel.free();
  }
}

/** Reads the pictures of a request: URLs, or `picture:i` for one that was sent along. Errors name the field. */
async function readPictures(
  named: Omit<PictureUrl, "detail">[],
  { pictures: sent, base }: WireRequest,
  signal: AbortSignal,
  onEvent: (event: ChatEvent) => void,
): Promise<Picture[]> {
  const pictures: Picture[] = [];
  for (const [index, { url, field }] of named.entries()) {
    try {
      const { picture, note } = await readPicture(pictureSource(url, sent, base), pictureFiles, credentials, signal);
      if (note) onEvent({ kind: "note", picture: index, message: note });
      pictures.push(picture);
    } catch (thrown) {
      if (isAbort(thrown) || signal.aborted) throw thrown;
      const { code, message, detail } = errorData(thrown);
      throw ocelliError(code, `${field}: ${message}`, { field, ...detail }, thrown);
    }
  }
  return pictures;
}

function pictureSource(url: string, sent: PictureSource[], base: string): PictureSource {
  const source = url.startsWith("picture:") ? sent[Number(url.slice("picture:".length))] : undefined;
  if (source !== undefined) return source;
  const absolute = URL.canParse(url, base) ? new URL(url, base).href : "";
  if (/^(https?|data|blob):/.test(absolute)) return absolute;
  throw ocelliError("invalid-request", "not a URL of scheme http(s), data or blob", { reason: "scheme" });
}

function pictureFiles(): Promise<void> {
  if (!modules) throw unloaded();
  return loadPictureFiles(modules);
}

function loadedEngine(): OcelliEngine {
  if (!engine) throw unloaded();
  return engine;
}

function unloaded(): OcelliError {
  return ocelliError("unloaded", "no model is loaded");
}

function post(message: FromWorker): void {
  postMessage(message);
}
