/** Writes the texts of albums: one tab at a time for each album, after people's questions, and from where it was left. */
import { effect, signal, type ReadonlySignal, type Signal } from "@preact/signals-core";
import type { BatchAnswer, BatchRequest, ChatMessage, ErrorCode, Usage } from "../../src/index.js";
import { OcelliError } from "../../src/index.js";
import { altFlags, type AltQuestion } from "../../src/img-alt/text.js";
import { describe, isWritten, type Learnt, type Written } from "../pictures/describe.js";
import type { Album, AlbumRow, Id } from "../store/schema.js";
import { albumWords } from "../words/albums.js";
import { activities, showActivity, type ActivityState } from "./album-activity.js";
import { factsOf, fileOf, mayRead } from "./album-files.js";
import { albumOf, changeAlbum, changeRows, loadAlbums, shelfOf, type Shelf } from "./albums.js";
import { announce } from "./announce.js";
import { isAnswering } from "./answer.js";
import { current, engine } from "./engine.js";
import type { PageEngine } from "./page-engine.js";
import { isDemo } from "./model-choice.js";
import { problemOf, type Problem } from "./problem.js";
import { keepsScreenOn } from "./settings.js";
import { DEMO_INSTRUCTIONS } from "./tasks.js";

/** Rows of which the speed is taken, and rows that fail in the same way before the run stops. */
const [MEASURED, SAME_FAULTS] = [20, 3];
/** Faults of a picture, not of the device. */
const OF_PICTURE: readonly string[] = ["invalid-image", "image-too-large", "context-overflow"];
/** Codes of the API that differ from those of the engine. */
const CODES: Readonly<Record<string, string>> = {
  image_parse_error: "invalid-image",
  context_length_exceeded: "context-overflow",
  failed_to_download_image: "io",
};

/** The writing of one album in this tab. */
export interface Run {
  /** Rows whose texts are being written. */
  working: Signal<ReadonlySet<Id>>;
  /** The error that has stopped the run. */
  problem: Signal<Problem | null>;
  /** Milliseconds a picture takes; `null` until some are done. */
  pace: Signal<number | null>;
}

/** A row whose questions are being asked. */
interface Talk {
  row: AlbumRow;
  url: string;
  steps: ReturnType<typeof describe>;
  question: AltQuestion;
  asked: number;
  usage: Usage | null;
}

const runs = new Map<Id, Run & { abort: AbortController | null }>();

export function runOf(id: Id): Run {
  const known = runs.get(id) ?? { working: signal(new Set()), problem: signal(null), pace: signal(null), abort: null };
  runs.set(id, known);
  return known;
}

/** Stops writing until it is started again. What is done is kept. */
export async function pause(id: Id): Promise<void> {
  runs.get(id)?.abort?.abort();
  showActivity(id, null);
  await changeAlbum(id, { isStarted: false });
}

/** Writes an album unless another tab does. `isAsked`: the user may be asked for the folder. Resolves when it has stopped. */
export async function start(id: Id, isAsked: boolean): Promise<void> {
  await loadAlbums();
  const album = albumOf(id);
  runOf(id);
  const run = runs.get(id);
  if (!album || !run || run.abort) return;
  if (!(await mayRead(album, isAsked))) return tell(id, "folder");
  const abort = new AbortController();
  run.abort = abort;
  run.problem.value = null;
  const wake = keepAwake(abort.signal);
  try {
    const isMine = await locked(id, async () => {
      await changeAlbum(id, { isStarted: true });
      await write(id, run, abort.signal);
    });
    if (!isMine) return void (await watch(id));
    if (!abort.signal.aborted) {
      await changeAlbum(id, { isStarted: false });
      showActivity(id, null);
      announce(albumWords.run.complete(album.title));
    }
  } catch (thrown) {
    if (abort.signal.aborted) return;
    run.problem.value = problemOf(thrown);
    await tell(id, "failed");
  } finally {
    run.abort = null;
    run.working.value = new Set();
    wake();
  }
}

/** Shows that another tab writes the album, until it has stopped. */
async function watch(id: Id): Promise<void> {
  await tell(id, "elsewhere");
  void navigator.locks?.request(lockOf(id), () => {
    if (activities.value.some(({ album, state }) => album === id && state === "elsewhere")) showActivity(id, null);
  });
}

/** Watches the album if another tab writes it; otherwise calls `onFree`. */
export async function watchIfWritten(id: Id, onFree: () => void = () => undefined): Promise<void> {
  await loadAlbums();
  const { held } = (await navigator.locks?.query()) ?? {};
  const isWritten = !runs.get(id)?.abort && held?.some(({ name }) => name === lockOf(id));
  if (isWritten) await watch(id);
  else onFree();
}

function lockOf(id: Id): string {
  return `ocelli-album/${id}`;
}

/** Pages that are not opened over https have no locks. Resolves to false if another tab has the album. */
async function locked(id: Id, act: () => Promise<void>): Promise<boolean> {
  if (!navigator.locks) {
    await act();
    return true;
  }
  return navigator.locks.request(lockOf(id), { ifAvailable: true }, async (lock) => {
    if (lock) await act();
    return lock !== null;
  });
}

async function tell(id: Id, state: ActivityState): Promise<void> {
  const all = [...(await shelfOf(id)).value.values()];
  const done = all.filter((row) => row.state !== "waiting").length;
  showActivity(id, { album: id, title: albumOf(id)?.title ?? "", state, done, total: all.length });
}

/** Writes all rows that wait, also over a change of the model. */
async function write(id: Id, run: Run, stop: AbortSignal): Promise<void> {
  // Passes in turn that completed no row.
  for (let fruitless = 0; !stop.aborted; ) {
    if (!engine.value) await tell(id, "model");
    const model = await holds(engine, (value) => value !== null, stop);
    if (!model) return;
    const pass = new Pass(id, run, model, stop);
    try {
      return await pass.run();
    } catch (thrown) {
      fruitless = pass.ends.length > 0 ? 0 : fruitless + 1;
      // The model was changed, or its worker has ended: the rows under way wait for the next one.
      if (stop.aborted || engine.value === model || fruitless === SAME_FAULTS) throw thrown;
    }
  }
}

/** One pass over the rows that wait, by one model. */
class Pass {
  private readonly talks = new Map<string, Talk>();
  private readonly followUps: Talk[] = [];
  private readonly taken = new Set<Id>();
  readonly ends: number[] = [];
  private faults: string[] = [];
  private toldTenth = 0;
  private wake: () => void = () => undefined;
  private readonly learnt: Learnt | null;

  constructor(
    private readonly id: Id,
    private readonly progress: Run,
    private readonly model: PageEngine,
    private readonly stop: AbortSignal,
  ) {
    this.learnt = current.value && isDemo(current.value) ? DEMO_INSTRUCTIONS : null;
  }

  async run(): Promise<void> {
    try {
      for await (const answer of this.model.batch(this.requests(), { signal: this.stop })) await this.take(answer);
    } finally {
      for (const { url } of this.talks.values()) URL.revokeObjectURL(url);
      this.progress.working.value = new Set();
    }
  }

  /** A request when one is wanted: further questions about a row come before the next row. */
  private async *requests(): AsyncGenerator<BatchRequest, void, void> {
    const shelf = await shelfOf(this.id);
    while (!this.stop.aborted) {
      await this.nobodyAsks();
      const talk = this.followUps.shift() ?? (await this.begin(shelf));
      if (talk) {
        yield this.requestOf(talk);
      } else if (this.talks.size > 0) {
        await new Promise<void>((resolve) => {
          this.wake = resolve;
        });
      } else return;
    }
  }

  /** People's questions come first: no row is begun while one is answered. */
  private async nobodyAsks(): Promise<void> {
    await tell(this.id, isAnswering.value ? "held" : "running");
    if (!isAnswering.value) return;
    await holds(isAnswering, (is) => !is, this.stop);
    await tell(this.id, "running");
  }

  /** The next row that has a question; rows without one are done. `null` if none is left. */
  private async begin(shelf: ReadonlySignal<Shelf>): Promise<Talk | null> {
    for (;;) {
      const album = albumOf(this.id);
      const row = [...shelf.value.values()].find(({ id, state }) => state === "waiting" && !this.taken.has(id));
      if (!row || !album || this.stop.aborted) return null;
      this.taken.add(row.id);
      const talk = await this.open(row, album);
      if (talk) return talk;
      // It may be asked for again.
      if (shelf.value.get(row.id)?.state !== "waiting") this.taken.delete(row.id);
      await this.tellProgress();
    }
  }

  private async open(waiting: AlbumRow, { task }: Album): Promise<Talk | null> {
    const file = await fileOf(waiting);
    // A file may also go while it is read.
    const facts = file && (await factsOf(waiting, file).catch(() => null));
    if (!file || !facts) {
      await this.settle(waiting, (row) => ({ ...row, state: "missing" }));
      return null;
    }
    // A text in the file counts at the first reading; later the user has asked for another one.
    const isFirst = waiting.width === 0 && waiting.had === null;
    const alt = waiting.alt || (isFirst && task.keepsAlts ? (facts.had ?? "") : "");
    const row = { ...waiting, ...facts, alt };
    if (isWritten(row, task, this.learnt)) {
      const flags = altFlags(alt, row.path.split("/").at(-1));
      await this.settle(waiting, (now) => ({ ...now, ...facts, alt, flags: alt ? flags : [], language: task.language, state: "done" }));
      return null;
    }
    const [read] = await changeRows(this.id, [row.id], (now) => (now.state === "waiting" ? { ...now, ...facts, alt } : null));
    const steps = describe(read ?? row, task, this.learnt);
    const first = steps.next();
    if (!read || first.done) return null;
    const talk = { row: read, url: URL.createObjectURL(file), steps, question: first.value, asked: 0, usage: null };
    this.talks.set(row.id, talk);
    this.progress.working.value = new Set(this.talks.keys());
    return talk;
  }

  private requestOf(talk: Talk): BatchRequest {
    const detail = albumOf(this.id)?.task.detail ?? "auto";
    const messages = talk.question.turns.map((text, index): ChatMessage => {
      if (index % 2) return { role: "assistant", content: text };
      const picture = index === 0 ? [{ type: "image_url" as const, image_url: { url: talk.url, detail } }] : [];
      return { role: "user", content: [...picture, { type: "text", text }] };
    });
    const body = { messages, temperature: 0, max_tokens: talk.question.maxTokens };
    return { custom_id: `${talk.row.id}/${talk.asked++}`, url: "/v1/chat/completions", body };
  }

  private async take({ custom_id, response, error }: BatchAnswer): Promise<void> {
    const talk = this.talks.get(custom_id?.split("/")[0] ?? "");
    if (!talk) return;
    const body = (response?.body ?? {}) as {
      choices?: { message: { content: string | null }; finish_reason: string }[];
      usage?: Usage;
      error?: { code: string | null; message: string };
    };
    const [choice] = body.choices ?? [];
    if (!choice) {
      const { code, message = "" } = body.error ?? error ?? {};
      // The fault is not the picture's: the row waits for the next model.
      if (engine.value !== this.model) throw new Error(message);
      const fault = { code: CODES[code ?? ""] ?? (code ?? "internal").replaceAll("_", "-"), message };
      await this.close(talk, (row) => ({ ...row, state: "failed", error: fault }));
      return this.countFault(fault);
    }
    talk.usage = body.usage ?? null;
    const next = talk.steps.next({ text: choice.message.content ?? "", isCut: choice.finish_reason === "length" });
    if (!next.done) {
      talk.question = next.value;
      this.followUps.push(talk);
      this.wake();
      return;
    }
    this.faults = [];
    await this.close(talk, (row) => this.finished(row, next.value, talk));
  }

  private finished(row: AlbumRow, written: Written, { usage }: Talk): AlbumRow {
    const language = albumOf(this.id)?.task.language ?? "";
    return { ...row, ...written, language, state: "done", isByHand: false, model: current.value?.name ?? null, usage, error: null };
  }

  private async close(talk: Talk, change: (row: AlbumRow) => AlbumRow): Promise<void> {
    await this.settle(talk.row, change);
    URL.revokeObjectURL(talk.url);
    this.talks.delete(talk.row.id);
    this.taken.delete(talk.row.id);
    this.progress.working.value = new Set(this.talks.keys());
    this.wake();
    this.ends.push(performance.now());
    if (this.ends.length > MEASURED) this.ends.shift();
    const [first = 0] = this.ends;
    const count = this.ends.length - 1;
    this.progress.pace.value = count > 0 ? ((this.ends.at(-1) ?? first) - first) / count : null;
    await this.tellProgress();
  }

  /** Only a row that still waits is changed: the user may have written it meanwhile. */
  private async settle(row: AlbumRow, change: (row: AlbumRow) => AlbumRow): Promise<void> {
    await changeRows(this.id, [row.id], (now) => (now.state === "waiting" ? change(now) : null));
  }

  private async tellProgress(): Promise<void> {
    await tell(this.id, isAnswering.value ? "held" : "running");
    const { done = 0, total = 1 } = activities.value.find(({ album }) => album === this.id) ?? {};
    const tenth = Math.floor((10 * done) / total);
    if (tenth > this.toldTenth) announce(albumWords.run.part(albumOf(this.id)?.title ?? "", 10 * tenth));
    this.toldTenth = Math.max(this.toldTenth, tenth);
  }

  /** Throws after some rows in turn that failed in the same way, which is not the pictures'. */
  private countFault({ code, message }: { code: string; message: string }): void {
    if (OF_PICTURE.includes(code)) return;
    this.faults = this.faults.at(-1) === code ? [...this.faults, code] : [code];
    if (this.faults.length >= SAME_FAULTS) throw new OcelliError({ code: code as ErrorCode, message, detail: null });
  }
}

/** Resolves once `condition` holds, or to the present value when `stop` is aborted. */
function holds<T>(value: ReadonlySignal<T>, condition: (value: T) => boolean, stop: AbortSignal): Promise<T> {
  return new Promise((resolve) => {
    const end = () => {
      queueMicrotask(() => dispose());
      resolve(value.peek());
    };
    const dispose = effect(() => {
      if (condition(value.value)) end();
    });
    stop.addEventListener("abort", end, { once: true });
  });
}

/** Keeps the screen on until the result is called; again when the page comes back to the front. */
function keepAwake(stop: AbortSignal): () => void {
  let lock: Promise<WakeLockSentinel | null> | null = null;
  const ask = () => {
    if (keepsScreenOn.value && !document.hidden && !stop.aborted) lock = navigator.wakeLock?.request("screen").catch(() => null) ?? null;
  };
  document.addEventListener("visibilitychange", ask);
  ask();
  return () => {
    document.removeEventListener("visibilitychange", ask);
    void lock?.then((held) => held?.release());
  };
}
