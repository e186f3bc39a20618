/** A question that waits: for a model, or for one that sees photographs. It is kept over a reload. */
import { signal } from "@preact/signals-core";
import type { Id, Message } from "../store/schema.js";
import { respond } from "./answer.js";
import { messages, open, openConversation } from "./conversation.js";
import { current, engine, loading } from "./engine.js";
import { rows, write } from "./kept.js";
import { isDemo, savedSource, type Choice, type SavedChoice } from "./model-choice.js";
import { hasPhotograph } from "./pictures.js";

export interface Held {
  conversation: Id;
  question: Id;
  /** `model`: none is loaded. `photograph`: the demo model would make something up. */
  reason: "model" | "photograph";
  /** The model that was chosen to answer it; `null` if none was. */
  wants: SavedChoice | null;
}

const ROW = "held";

export const held = signal<Held | null>(null);

/** Answers a question, or holds it until a model can. */
export async function answerOrHold(question: Message): Promise<void> {
  const reason = reasonToHold(question);
  if (reason === null) return respond(question);
  hold({ conversation: question.conversation, question: question.id, reason, wants: null });
}

function reasonToHold({ pictures }: Message): Held["reason"] | null {
  // The demo model is loaded soonest, so its answer would come first.
  const choice = engine.value ? current.value : loading.value?.choice;
  if (choice && isDemo(choice) && hasPhotograph(pictures)) return "photograph";
  return engine.value ? null : "model";
}

function hold(value: Held): void {
  held.value = value;
  void write({ put: { settings: [{ id: ROW, value }] } });
}

/** Lets go of the question, which stays in its conversation without an answer. */
export function letGo(): void {
  held.value = null;
  void write({ delete: { settings: [ROW] } });
}

/** Notes the model that the user has chosen to answer the question. */
export function wantModel(choice: Choice): void {
  if (held.value) hold({ ...held.value, wants: savedSource(choice) });
}

/** Answers the question by the demo model after all. */
export async function askAnyway(): Promise<void> {
  const question = heldQuestion();
  if (!question) return;
  letGo();
  await respond(question);
}

/** Answers the question if the loaded model can. */
export async function release(): Promise<void> {
  const waiting = held.value;
  if (!waiting || !engine.value || !current.value || (waiting.reason === "photograph" && isDemo(current.value))) return;
  if (waiting.conversation !== open.value.id && !(await openConversation(waiting.conversation))) return letGo();
  const question = heldQuestion();
  // A photograph that came before any model was there.
  if (question && reasonToHold(question) === "photograph") return hold({ ...waiting, reason: "photograph" });
  letGo();
  if (question) await respond(question);
}

function heldQuestion(): Message | undefined {
  return messages.value.get(held.value?.question ?? "");
}

/** Reads the question of an earlier visit. */
export async function loadHeld(): Promise<void> {
  const row = await (await rows()).get("settings", ROW);
  held.value = (row?.value as Held | undefined) ?? null;
}
