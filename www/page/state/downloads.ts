/** Downloads of models, one at a time, while another model answers. */
import { signal } from "@preact/signals-core";
import { importModel, type GgufSource, type SafetensorsSource } from "../../src/index.js";
import { words } from "../words/index.js";
import { announce } from "./announce.js";
import { keyOf } from "./model-choice.js";
import { refreshModels } from "./models.js";
import { problemOf, type Problem } from "./problem.js";
import { Rate } from "./rate.js";

/** A model whose files have addresses. */
export interface Downloadable {
  name: string;
  source: GgufSource | SafetensorsSource;
}

export interface Download {
  model: Downloadable;
  state: "queued" | "running" | "paused" | "failed";
  loaded: number;
  /** Bytes of the files; 0 until they are known. */
  total: number;
  /** Bytes per second; `null` if unknown. */
  rate: number | null;
  problem: Problem | null;
}

/** Downloads of this visit that are not complete, by the key of their source. */
export const downloads = signal<ReadonlyMap<string, Download>>(new Map());

const running = new Map<string, AbortController>();
let turn: Promise<unknown> = Promise.resolve();

/** Downloads a model; resolves to the address of its package, or to `null` if it was paused or failed. */
export async function download(model: Downloadable): Promise<string | null> {
  const key = keyOf(model.source);
  if (running.has(key)) return null;
  const abort = new AbortController();
  running.set(key, abort);
  show(key, { model, state: "queued", problem: null, rate: null });
  const mine = turn.then(() => run(key, model, abort.signal));
  turn = mine.catch(() => undefined);
  try {
    const url = await mine;
    downloads.value = new Map([...downloads.value].filter(([other]) => other !== key));
    announce(words.downloaded(model.name));
    return url;
  } catch (thrown) {
    if (abort.signal.aborted) show(key, { state: "paused", rate: null });
    else show(key, { state: "failed", rate: null, problem: problemOf(thrown, model.name) });
    return null;
  } finally {
    running.delete(key);
    await refreshModels();
  }
}

/** Stops a download. Its bytes so far are kept, and it can be resumed. */
export function pauseDownload(source: unknown): void {
  running.get(keyOf(source))?.abort();
}

/** Takes a paused or failed download off the list. */
export function forgetDownload(source: unknown): void {
  downloads.value = new Map([...downloads.value].filter(([key]) => key !== keyOf(source)));
}

async function run(key: string, model: Downloadable, signal: AbortSignal): Promise<string> {
  signal.throwIfAborted();
  show(key, { state: "running" });
  const rate = new Rate();
  let told = 0;
  const { packageUrl } = await importModel(model.source, {
    storage: "require",
    signal,
    onProgress: (report) => {
      if (report.kind !== "progress" || report.stage !== "import") return;
      const { loaded, total } = report;
      show(key, { loaded, total, rate: rate.add(loaded) });
      const quarter = Math.floor((4 * loaded) / (total || 1));
      if (quarter > told) announce(words.loading.quarter(25 * quarter));
      told = Math.max(told, quarter);
    },
  });
  return packageUrl;
}

function show(key: string, change: Partial<Download>): void {
  const before = downloads.value.get(key) ?? ({ loaded: 0, total: 0 } as Download);
  downloads.value = new Map([...downloads.value, [key, { ...before, ...change }]]);
}
