/** Questions and their answers: written to the database before they are sent, and while they stream. */
import { batch, computed, signal, type Signal } from "@preact/signals-core";
import type { ChatCompletionRequest, ChatEvent, ChatMessage } from "../../src/index.js";
import type { Id, Measure, Message, PictureName } from "../store/schema.js";
import { keepMeasure, measureId } from "../store/measures.js";
import { words } from "../words/index.js";
import { messages, open, path, save, saveDraftOf } from "./conversation.js";
import { current, device, engine } from "./engine.js";
import type { PageEngine } from "./page-engine.js";
import { rows } from "./kept.js";
import { isDemo } from "./model-choice.js";
import { pictures } from "./pictures.js";
import { problemOf, showProblem } from "./problem.js";
import { answering, instruction, longestAnswer, look, thinking } from "./settings.js";
import { Speech } from "./speech.js";
import type { Task } from "./tasks.js";
import { newId } from "../store/id.js";
import { pathTo, sentOf } from "./tree.js";

/** Tokens of the longest answer, of the demo model and of others. */
const LONGEST = { demo: 256, other: 1024 };
/** The task that asks for places in a picture. */
export const FIND = "find";
/** An answer that streams is written this often. */
const SAVE_MS = 2000;

/** Progress of an answer before its first word. */
export type Stage =
  | { kind: "waiting" }
  | { kind: "picture"; picture: number; of: number; width: number; height: number; done: number }
  | { kind: "reading"; done: number }
  | { kind: "recovering" };

/** An answer that is being written. */
export class Underway {
  readonly text: Signal<string>;
  readonly thoughts = signal("");
  readonly stage = signal<Stage | null>({ kind: "waiting" });
  readonly notes = signal<readonly string[]>([]);
  private readonly abort = new AbortController();

  constructor(readonly message: Message) {
    this.text = signal(message.text);
  }

  get signal(): AbortSignal {
    return this.abort.signal;
  }

  stop(): void {
    this.abort.abort();
  }

  /** The message with the text so far. */
  now(): Message {
    const thoughts = this.thoughts.value || this.message.thoughts;
    return { ...this.message, text: this.text.value, thoughts, notes: [...this.message.notes, ...this.notes.value] };
  }
}

/** Answers that are being written, by conversation. */
const underways = signal<ReadonlyMap<Id, Underway>>(new Map());
/** The one of the open conversation. */
export const underway = computed(() => underways.value.get(open.value.id) ?? null);

/** True while a question of a conversation is being answered. */
export const isAnswering = computed(() => underways.value.size > 0);

/** Stops all answers, such as before their model is unloaded. */
export function stopAll(): void {
  for (const each of underways.value.values()) each.stop();
}

/** Writes what has been answered so far, because the page may end. */
export function saveAll(): void {
  for (const each of underways.value.values()) void saveDraftOf(each.now());
}

/** Adds a question to the open conversation; resolves once it is kept. */
export async function addQuestion(
  text: string,
  shown: readonly PictureName[],
  { isTopic = false, replaces = null, task = null }: { isTopic?: boolean; replaces?: Message | null; task?: Task | null } = {},
): Promise<Message> {
  const like = task ?? { id: replaces?.task, format: replaces?.format, sampling: replaces?.sampling };
  const question: Message = {
    ...blankMessage(open.value.id),
    role: "user",
    parent: replaces ? replaces.parent : open.value.leaf,
    text,
    pictures: [...shown],
    pictureIds: shown.map(({ id }) => id),
    detail: look.value,
    task: like.id ?? null,
    format: like.format ?? null,
    sampling: like.sampling ?? null,
    isTopic: replaces ? replaces.isTopic : isTopic && path.value.length > 0,
  };
  await save(question.conversation, [question], question);
  return question;
}

/** Answers a question once more: a new version with a new seed. */
export async function answerAgain(answer: Message): Promise<void> {
  const question = messages.value.get(answer.parent ?? "");
  if (question) await respond(question);
}

/** Continues an answer that was cut, stopped or interrupted. */
export async function continueAnswer(answer: Message): Promise<void> {
  const question = messages.value.get(answer.parent ?? "");
  if (question) await respond(question, answer);
}

/** Answers a question. With `begun` the answer continues that text. */
export async function respond(question: Message, begun: Message | null = null): Promise<void> {
  const [model, choice] = [engine.value, current.value];
  const { conversation } = question;
  if (!model || !choice || underways.value.has(conversation)) return;
  const stored = conversation === open.value.id ? messages.value : await messagesOf(conversation);
  const message: Message = {
    ...(begun ?? blankMessage(conversation)),
    role: "assistant",
    parent: question.id,
    task: question.task ?? null,
    format: question.format ?? null,
    model: { name: choice.name, url: model.packageUrl },
    seed: begun?.seed ?? answering.value.seed ?? Math.floor(Math.random() * 2 ** 31),
    end: null,
    error: null,
  };
  const task = new Underway(message);
  underways.value = new Map([...underways.value, [conversation, task]]);
  const speech = new Speech(task.text.value.length);
  const unheard = task.text.subscribe((text) => speech.hear(text));
  const timer = setInterval(() => void saveDraftOf(task.now()), SAVE_MS);
  let done: Message;
  try {
    await save(conversation, [message], message);
    speech.begin(words.answer.begins);
    const request = requestOf(sentOf(pathTo(question.id, stored)), task);
    const instructed = isDemo(choice) || question.task === FIND ? request : [...instructionOf(), ...request];
    done = await stream(model, { ...optionsOf(question, isDemo(choice)), messages: instructed }, task);
    speech.end(done.text, words.answer.complete);
  } catch (thrown) {
    const isStopped = task.signal.aborted;
    const { code, message: text, advice } = problemOf(thrown);
    done = {
      ...task.now(),
      end: isStopped ? "stopped" : "failed",
      error: isStopped ? null : { code, message: text, ...(advice && { advice }) },
    };
    if (isStopped) speech.end("", words.answer.stopped);
    else showProblem(thrown, question.pictures.map(({ name }) => name).join(", "));
  }
  clearInterval(timer);
  unheard();
  batch(() => {
    underways.value = new Map([...underways.value].filter(([id]) => id !== conversation));
    void save(conversation, [{ ...done, text: done.text.trim() }]);
  });
  if (done.usage && done.end !== "failed" && !choice.server) await measure(model, done.usage);
}

async function messagesOf(conversation: Id): Promise<ReadonlyMap<Id, Message>> {
  return new Map((await (await rows()).messagesOf(conversation)).map((message) => [message.id, message]));
}

async function measure(model: PageEngine, usage: NonNullable<Message["usage"]>): Promise<void> {
  const id = measureId(model.packageUrl, device.value?.name ?? "");
  const mean = await keepMeasure(await rows(), id, usage);
  if (mean) measures.value = new Map([...measures.value, [id, mean]]);
}

/** Measured speeds, by package and device. */
export const measures = signal<ReadonlyMap<string, Measure>>(new Map());

export async function loadMeasures(): Promise<void> {
  measures.value = new Map((await (await rows()).all("measures")).map((measure) => [measure.id, measure]));
}

function blankMessage(conversation: Id): Message {
  return {
    id: newId(),
    conversation,
    parent: null,
    role: "user",
    at: Date.now(),
    text: "",
    thoughts: null,
    pictures: [],
    pictureIds: [],
    detail: "auto",
    isTopic: false,
    model: null,
    seed: null,
    usage: null,
    notes: [],
    end: null,
    error: null,
  };
}

/** The messages of a request. The answer so far is the last one if it is continued. */
function requestOf(sent: readonly Message[], task: Underway): ChatMessage[] {
  const request = sent.map(({ role, text, pictures: shown, detail }): ChatMessage => {
    if (role === "assistant") return { role, content: text };
    const parts = shown.flatMap(({ id, name }) => {
      const blob = pictures.value.get(id)?.blob;
      if (!blob) task.notes.value = [...task.notes.value, words.answer.pictureGone(name)];
      return blob ? [{ type: "image_url" as const, image_url: { url: blob, detail } }] : [];
    });
    return { role, content: [...parts, { type: "text", text }] };
  });
  return task.message.text ? [...request, { role: "assistant", content: task.message.text }] : request;
}

/** The user's instruction for all conversations. */
function instructionOf(): ChatMessage[] {
  const content = instruction.value.trim();
  return content ? [{ role: "system", content }] : [];
}

const EFFORTS = { off: "none", short: "low", medium: "medium", long: "high" } as const;

/** Format and sampling of the answer to a question: by its task, else by the settings, else by the model. */
function optionsOf({ task, format, sampling }: Message, isOfDemo: boolean): Omit<ChatCompletionRequest, "messages"> {
  // The demo model knows its own instructions only, and models that find were trained with their format.
  const isTold = !isOfDemo && task !== FIND;
  return {
    // The demo model has learnt fixed answers; others have the sampling that their publishers recommend.
    ...(isOfDemo ? { temperature: 0 } : {}),
    ...answering.value,
    ...(sampling?.temperature == null ? {} : { temperature: sampling.temperature }),
    // Thoughts would take the room of a short answer.
    ...(format || sampling?.max_tokens
      ? { enable_thinking: false }
      : thinking.value === null
        ? {}
        : { reasoning_effort: EFFORTS[thinking.value] }),
    ...(format ? { response_format: { type: "json_schema", json_schema: { name: "answer", schema: format }, in_prompt: isTold } } : {}),
    max_tokens: sampling?.max_tokens ?? longestAnswer.value ?? (isOfDemo ? LONGEST.demo : LONGEST.other),
  };
}

async function stream(model: PageEngine, request: ChatCompletionRequest, task: Underway): Promise<Message> {
  const parts = request.messages.flatMap(({ content }) => (Array.isArray(content) ? content : []));
  const count = parts.filter(({ type }) => type === "image_url").length;
  const chunks = await model.chat.completions.create(
    { ...request, stream: true, stream_options: { include_usage: true }, seed: task.message.seed, truncation: "auto" },
    { signal: task.signal, onProgress: (event) => follow(event, task, count) },
  );
  let [end, usage]: [Message["end"], Message["usage"]] = ["stop", null];
  for await (const chunk of chunks) {
    const [choice] = chunk.choices;
    const { content, reasoning_content: thoughts } = choice?.delta ?? {};
    if (content || thoughts) task.stage.value = null;
    if (content) task.text.value += content;
    if (thoughts) task.thoughts.value += thoughts;
    if (choice?.finish_reason === "length") end = "length";
    if (chunk.usage) usage = chunk.usage;
  }
  return { ...task.now(), end, usage };
}

function follow(event: ChatEvent, task: Underway, count: number): void {
  if (event.kind === "note") task.notes.value = [...task.notes.value, event.message];
  else if (event.kind === "truncated") task.notes.value = [...task.notes.value, words.answer.truncated(event.turns)];
  else if (event.kind === "recovering") task.stage.value = { kind: "recovering" };
  else if (event.kind === "processor") device.value = engine.value?.device ?? null;
  else if (event.kind === "picture") {
    const { picture, width, height } = event;
    task.stage.value = { kind: "picture", picture: picture + 1, of: count, width, height, done: 0 };
  } else if (event.stage === "prefill") task.stage.value = { kind: "reading", done: event.done / (event.total || 1) };
  else if (task.stage.value?.kind === "picture") task.stage.value = { ...task.stage.value, done: event.done / (event.total || 1) };
}
