/** The error that concerns the whole page. */
import { signal } from "@preact/signals-core";
import { OcelliError, type ErrorCode } from "../../src/index.js";

export interface Advice {
  title: string;
  next: string;
}

export interface Problem {
  code: ErrorCode;
  message: string;
  /** The file or model that it is about; may be empty. */
  subject: string;
  /** Words of its own, in place of those of its code. */
  advice?: Advice | undefined;
}

export const problem = signal<Problem | null>(null);

/** Any thrown value as data. */
export function problemOf(thrown: unknown, subject = ""): Problem {
  const code = thrown instanceof OcelliError ? thrown.code : "internal";
  const { advice } = Object(thrown) as { advice?: Advice };
  return { code, message: thrown instanceof Error ? thrown.message : String(thrown), subject, advice };
}

export function showProblem(thrown: unknown, subject = ""): void {
  problem.value = problemOf(thrown, subject);
}

export function clearProblem(): void {
  problem.value = null;
}
