/** The user's own tasks as a file, and such a file checked. */
import type { OwnTask } from "../store/schema.js";
import { newId } from "../store/id.js";
import { ownTasks } from "./settings.js";

const FORMAT = "ocelli-tasks";

export function tasksJson(tasks: readonly OwnTask[]): string {
  return `${JSON.stringify({ format: FORMAT, version: 1, tasks: tasks.map(({ id: _, ...task }) => task) }, null, 2)}\n`;
}

/** Adds the tasks of a file at the end; returns their number, or the place of the first fault, in which case none is added. */
export function takeTasks(text: string): number | string {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return "JSON";
  }
  const { format, version, tasks } = (json ?? {}) as Record<string, unknown>;
  if (format !== FORMAT) return "format";
  if (version !== 1) return "version";
  if (!Array.isArray(tasks)) return "tasks";
  const taken: OwnTask[] = [];
  for (const [index, task] of tasks.entries()) {
    const fault = faultOf(task);
    if (fault !== null) return `tasks[${index}]${fault}`;
    const { name, instruction, format, sampling } = task as OwnTask;
    taken.push({ id: newId(), name, instruction, format, sampling });
  }
  ownTasks.value = [...ownTasks.value, ...taken];
  return taken.length;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function faultOf(task: unknown): string | null {
  if (!isObject(task)) return "";
  const isText = (value: unknown) => typeof value === "string" && value.trim() !== "";
  const isNumber = (value: unknown) => value === null || (typeof value === "number" && value >= 0);
  if (!isText(task["name"])) return ".name";
  if (!isText(task["instruction"])) return ".instruction";
  if (task["format"] !== null && !isObject(task["format"])) return ".format";
  const { sampling } = task;
  if (!isObject(sampling)) return ".sampling";
  if (!isNumber(sampling["temperature"])) return ".sampling.temperature";
  return isNumber(sampling["max_tokens"]) ? null : ".sampling.max_tokens";
}
