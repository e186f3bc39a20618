/** Tasks: an instruction with the format and the sampling of its answer. */
import { computed, signal } from "@preact/signals-core";
import type { OwnTask, Sampling } from "../store/schema.js";
import { words } from "../words/index.js";
import { language } from "../words/language.js";
import { current, engine } from "./engine.js";
import { isDemo } from "./model-choice.js";
import { ownTasks } from "./settings.js";
import { newId } from "../store/id.js";
import type { Schema } from "./fields.js";

/** A task whose instruction is complete once the user has told its fields, its rules, or what to find. */
export type Needs = "fields" | "rules" | "find";

export interface Task extends Omit<OwnTask, "sampling"> {
  sampling: Sampling | null;
  needs: Needs | null;
}

/** The demo model has learnt these instructions and no others. */
export const DEMO_INSTRUCTIONS: Readonly<Record<keyof typeof words.tasks.all, string>> = {
  describe: "Describe this image.",
  alt: "Describe this image.",
  caption: "Describe this image.",
  read: "What does the word say?",
  fields: "Describe the scene as JSON.",
  rules: "",
  find: "",
};

/** The same answer each time. */
const EXACT: Sampling = { temperature: 0, max_tokens: null };
/** Tokens of an alt text. */
const ALT_TOKENS = 120;
/** Families that were trained to answer with coordinates, see `find.ts`. */
const FINDING = ["qwen3_vl", "qwen3_5"];

/** True if the model answers with coordinates. */
export const canFind = computed(() => {
  const { config } = (engine.value ?? {}) as { config?: { family?: unknown } };
  return typeof config?.family === "string" && FINDING.includes(config.family);
});

/** The schema of a judgement by rules. Its keys come in this order, so the reason comes before the verdict. */
export const RULES: Schema = {
  type: "object",
  properties: {
    reason: { type: "string" },
    rule: { type: ["string", "null"] },
    verdict: { enum: ["fits", "breaks", "unsure"] },
  },
  required: ["reason", "rule", "verdict"],
  additionalProperties: false,
};

const isOfDemo = computed(() => current.value === null || isDemo(current.value));

/** Describes a picture; what is asked of a picture that comes without a question. */
export const describe = computed(() => builtIn("describe", null));

/** Tasks to choose from, for the present model. */
export const tasks = computed((): readonly Task[] => {
  const exact = [builtIn("alt", { ...EXACT, max_tokens: ALT_TOKENS }), builtIn("caption", EXACT), builtIn("read", EXACT)];
  const own = ownTasks.value.map((task): Task => ({ ...task, needs: null }));
  const more = [
    builtIn("fields", EXACT, "fields"),
    ...(isOfDemo.value ? [] : [{ ...builtIn("rules", EXACT, "rules"), format: RULES }]),
    ...(canFind.value ? [builtIn("find", EXACT, "find")] : []),
  ];
  return [describe.value, ...exact, ...more, ...own];
});

function builtIn(id: keyof typeof words.tasks.all, sampling: Sampling | null, needs: Needs | null = null): Task {
  // The tasks follow the language.
  void language.value;
  const { name, instruction } = words.tasks.all[id];
  return { id, name, instruction: isOfDemo.value ? DEMO_INSTRUCTIONS[id] : instruction, format: null, sampling, needs };
}

/** The task of the next pictures; `null` for a description. */
export const chosenTask = signal<Task | null>(null);

/** Adds a task of the user's own, or replaces the one with its id. */
export function keepTask(task: OwnTask): void {
  const others = ownTasks.value.filter(({ id }) => id !== task.id);
  ownTasks.value =
    others.length === ownTasks.value.length ? [...others, task] : ownTasks.value.map((each) => (each.id === task.id ? task : each));
}

export function dropTask(id: string): void {
  ownTasks.value = ownTasks.value.filter((task) => task.id !== id);
}

/** Adds a copy of a task, to be changed. */
export function copyTask({ instruction, format, sampling }: Task, name: string): void {
  keepTask({ id: newId(), name, instruction, format, sampling: sampling ?? { temperature: null, max_tokens: null } });
}

/** Moves a task of the user's own towards the beginning (-1) or the end (1). */
export function moveTask(id: string, by: -1 | 1): void {
  const list = [...ownTasks.value];
  const at = list.findIndex((task) => task.id === id);
  const [task, other] = [list[at], list[at + by]];
  if (!task || !other) return;
  [list[at], list[at + by]] = [other, task];
  ownTasks.value = list;
}
