/** The model that answers, and the one that is being loaded. */
import { batch, signal } from "@preact/signals-core";
import { Engine, importModel, type DeviceReport, type LoadOptions, type LoadReport, type ModelSource } from "../../src/index.js";
import { OcelliError } from "../../src/index.js";
import { words } from "../words/index.js";
import { announce } from "./announce.js";
import { askedDevice } from "./device.js";
import { DEMO, isDemo, saveChoice, type Choice } from "./model-choice.js";
import type { PageEngine } from "./page-engine.js";
import { clearProblem, showProblem } from "./problem.js";
import { Rate } from "./rate.js";
import { contextTokens, graphicsMemory, keepsComputed, pictureSeconds } from "./settings.js";

export type LoadProgress = Extract<LoadReport, { kind: "progress" }>;

/** A model that is being loaded. */
export interface Loading {
  choice: Choice;
  /** The last report, except of kernels; `null` at the start. */
  progress: LoadProgress | null;
  /** Bytes per second; `null` if unknown. */
  rate: number | null;
  /** Kernels that are compiled at the same time. */
  kernels: { loaded: number; total: number } | null;
}

/** A part of the graphics memory, of which other programs need some too. */
const BUDGET = 0.8;
/** A worker that ends within `SOON` milliseconds after its load may do so again. After some in turn the model is not loaded again. */
const [SOON, MOST_LOSSES] = [10_000, 3];

export const engine = signal<PageEngine | null>(null);
/** The model that `engine` holds. */
export const current = signal<Choice | null>(null);
export const loading = signal<Loading | null>({ choice: DEMO, progress: null, rate: null, kernels: null });
/** The device of the loaded model, and a warning of the load. */
export const device = signal<DeviceReport | null>(null);
export const loadWarning = signal("");
/** The reason why no model could be loaded. */
export const loadFailure = signal<unknown>(null);

let load: AbortController | null = null;
/** The time of the last load, and workers in turn that ended soon after their loads. */
let [readyAt, losses] = [0, 0];
let [onReady, onDrop]: (() => void)[] = [];

/** `ready` is called after each load, `drop` before a model is unloaded. */
export function listenForEngines(ready: () => void, drop: () => void): void {
  [onReady, onDrop] = [ready, drop];
}

export function cancelLoading(): void {
  load?.abort();
}

/**
 * Loads a model and uses it from then on. The model before it stays until the files of the new one are there. The next visit begins with
 * it, unless it came by a link. Resolves to true if it was loaded.
 */
export async function use(choice: Choice, { keepsProblem = false, isLinked = false } = {}): Promise<boolean> {
  load?.abort();
  const own = new AbortController();
  load = own;
  if (!keepsProblem) clearProblem();
  loadWarning.value = "";
  loading.value = { choice, progress: null, rate: null, kernels: null };
  try {
    const onProgress = reporter(() => load === own);
    const loaded = choice.server
      ? await (await import("../server/model.js")).connect(choice.server, own.signal)
      : await loadHere(choice, own.signal, onProgress);
    dropEngine();
    batch(() => {
      [engine.value, current.value, device.value] = [loaded, { ...choice, name: loaded.name ?? choice.name }, loaded.device];
      [loadFailure.value, loading.value, load] = [null, null, null];
    });
    readyAt = performance.now();
    if (!isLinked && !choice.server) saveChoice(choice, loaded.packageUrl);
    announce(words.loading.ready);
    onReady?.();
    void loaded.closed?.then((reason) => replace(loaded, reason, isLinked));
    return true;
  } catch (thrown) {
    if (load !== own) return false;
    [loading.value, load] = [null, null];
    if (own.signal.aborted) announce(words.loading.cancelled);
    else showProblem(thrown, isDemo(choice) ? "" : choice.name);
    // A server that does not answer stays chosen: pictures must not go elsewhere, nor be answered by another model, without a word.
    if (!engine.value && choice.server) current.value = choice;
    if (!engine.value) loadFailure.value = own.signal.aborted ? null : thrown;
    return false;
  }
}

/** Loads a model again whose worker has ended, unless that happens soon after each load, or another one is being loaded. */
async function replace(lost: PageEngine, reason: unknown, isLinked: boolean): Promise<void> {
  if (engine.value !== lost || !current.value) return;
  engine.value = null;
  if (loading.value) return;
  losses = performance.now() - readyAt < SOON ? losses + 1 : 1;
  if (losses < MOST_LOSSES) await use(current.value, { keepsProblem: true, isLinked });
  else showProblem((loadFailure.value = reason));
}

/** Loads a model on this device. */
async function loadHere({ source: from }: Choice, signal: AbortSignal, onProgress: (report: LoadReport) => void): Promise<PageEngine> {
  const source = await filesOf(from, signal, onProgress);
  // Only the demo model, which is small, stays loaded beside another one.
  if (current.value && !isDemo(current.value)) dropEngine();
  const budget = graphicsMemory.value === null ? {} : { gpuMemoryBudget: Math.floor(graphicsMemory.value * 1e9 * BUDGET) };
  return Engine.load(source, { share: true, device: askedDevice(), ...budget, ...chosen(), signal, onProgress });
}

/** Loads the model that the user chose; if that fails, the one before it or the demo model. */
export async function choose(choice: Choice): Promise<void> {
  const before = current.value;
  if (await use(choice)) return;
  if (!engine.value && !load) await use(before ?? DEMO, { keepsProblem: true });
}

/** Options of a load that the settings give. */
function chosen(): LoadOptions {
  const [context, maxPictureSeconds] = [contextTokens.value, pictureSeconds.value];
  return {
    ...(context === null ? {} : { context }),
    ...(maxPictureSeconds === null ? {} : { maxPictureSeconds }),
    ...(keepsComputed.value ? { cache: true } : {}),
  };
}

/** Loads the present model again, with the settings as they are now. */
export async function reload(): Promise<void> {
  const choice = loading.value?.choice ?? current.value;
  if (choice) await choose(choice);
}

function dropEngine(): void {
  if (!engine.value) return;
  onDrop?.();
  engine.value.unload();
  [engine.value, current.value] = [null, null];
}

/** The package of a checkpoint, downloaded and converted while the model before is still in use. */
async function filesOf(source: ModelSource, signal: AbortSignal, onProgress: (report: LoadReport) => void): Promise<ModelSource> {
  if (typeof source === "string" || source instanceof URL) return source;
  try {
    return (await importModel(source, { storage: "require", signal, onProgress })).packageUrl;
  } catch (thrown) {
    // Without storage it is kept in the memory of the worker that runs it.
    if (thrown instanceof OcelliError && /^storage-/.test(thrown.code)) return source;
    throw thrown;
  }
}

/** Reports of one load, as long as it is the current one. Screen readers are told at every quarter only. */
function reporter(isCurrent: () => boolean): (report: LoadReport) => void {
  const rate = new Rate();
  let toldQuarter = 0;
  return (report) => {
    if (!isCurrent() || !loading.value) return;
    if (report.kind === "repaired") return announce(words.loading.repaired(report.file));
    if (report.kind === "warning") {
      // The line about the device says why no GPU is used.
      if (report.code !== "gpu-not-used") loadWarning.value = report.message;
      return;
    }
    const { stage, loaded, total } = report;
    if (stage === "kernels") return void (loading.value = { ...loading.value, kernels: { loaded, total } });
    const hasBytes = stage === "import" || stage === "weights";
    loading.value = { ...loading.value, progress: report, rate: hasBytes ? rate.add(loaded) : null };
    const quarter = hasBytes ? Math.floor((4 * loaded) / (total || 1)) : 0;
    if (quarter <= toldQuarter) return;
    toldQuarter = quarter;
    announce(words.loading.quarter(25 * quarter));
  };
}
