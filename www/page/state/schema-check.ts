/** Questions to the engine about a schema: can an answer be held to it? */
import { OcelliError } from "../../src/index.js";
import { engine } from "./engine.js";
import type { Schema } from "./fields.js";

/** The place in a schema that the engine refuses. */
export interface Refusal {
  /** A JSON pointer; empty for the whole schema. */
  pointer: string;
  /** Empty if it is not a single one. */
  keyword: string;
  reason: string;
}

/** The reason why no answer can be held to `schema`; `null` if answers can, or if it is not known. */
export async function refusalOf(schema: Schema, signal: AbortSignal): Promise<Refusal | null> {
  try {
    await engine.value?.chat.completions.create(
      {
        messages: [{ role: "user", content: "x" }],
        response_format: { type: "json_schema", json_schema: { name: "answer", schema }, in_prompt: false },
        max_tokens: 1,
      },
      { signal },
    );
    return null;
  } catch (thrown) {
    if (!(thrown instanceof OcelliError) || !["unsupported-schema", "invalid-grammar"].includes(thrown.code)) return null;
    const { pointer, keyword, reason } = (thrown.detail ?? {}) as { pointer?: unknown; keyword?: unknown; reason?: unknown };
    const text = (value: unknown, other: string) => (typeof value === "string" ? value : other);
    return { pointer: text(pointer, ""), keyword: text(keyword, ""), reason: text(reason, thrown.message) };
  }
}
