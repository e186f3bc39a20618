/** The open database, and the reasons why it may not keep everything. */
import { signal } from "@preact/signals-core";
import { openRows, type Rows, type StoreProblem } from "../store/rows.js";
import type { Change } from "../store/schema.js";

/** Why something is not kept; `null` if everything is. */
export const storeProblem = signal<StoreProblem | null>(null);

const opening: Promise<Rows> = openRows((problem) => {
  storeProblem.value = problem;
});

export function rows(): Promise<Rows> {
  return opening;
}

/** Resolves to true once `change` is in the database. */
export async function write(change: Change, isTemporary = false): Promise<boolean> {
  return (await opening).write(change, isTemporary);
}
