/** The error that concerns the whole page. */
import { signal } from "@preact/signals-core";
import { OcelliError, type ErrorCode } from "../../src/index.js";

export interface Problem {
  code: ErrorCode;
  message: string;
  /** The file or model that it is about; may be empty. */
  subject: string;
}

export const problem = signal<Problem | null>(null);

/** Any thrown value as data. */
export function problemOf(thrown: unknown, subject = ""): Problem {
  const code = thrown instanceof OcelliError ? thrown.code : "internal";
  return { code, message: thrown instanceof Error ? thrown.message : String(thrown), subject };
}

export function showProblem(thrown: unknown, subject = ""): void {
  problem.value = problemOf(thrown, subject);
}

export function clearProblem(): void {
  problem.value = null;
}
