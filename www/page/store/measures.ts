/** Measured speeds of models. */
import type { Usage } from "../../src/index.js";
import type { Rows } from "./rows.js";
import type { Measure } from "./schema.js";

/** Shorter answers are not measured. */
const LEAST_TOKENS = 16;
/** Weight of a new measurement. */
const WEIGHT = 0.3;

export function measureId(packageUrl: string, device: string): string {
  return `${packageUrl}|${device}`;
}

/** The measurement after one more answer; `before` if the answer was too short. */
export function measured(id: string, before: Measure | null, usage: Usage): Measure | null {
  // A server or an older worker may not tell times.
  const { decode_ms = 0, prefill_ms = 0, vision_ms = 0, pictures = [] } = usage.ocelli ?? {};
  if (usage.completion_tokens < LEAST_TOKENS || !(decode_ms > 0)) return before;
  const computed = usage.prompt_tokens - (usage.prompt_tokens_details?.cached_tokens ?? 0);
  const pictureTokens = pictures.reduce((sum, { tokens }) => sum + tokens, 0);
  const mean = (old: number | null | undefined, value: number | null) =>
    value === null ? (old ?? null) : old == null ? value : (1 - WEIGHT) * old + WEIGHT * value;
  return {
    id,
    tokensPerSecond: mean(before?.tokensPerSecond, (1000 * (usage.completion_tokens - 1)) / decode_ms) ?? 0,
    prefillMsPerToken: mean(before?.prefillMsPerToken, computed > 0 && prefill_ms > 0 ? prefill_ms / computed : null),
    visionMsPerToken: mean(before?.visionMsPerToken, pictureTokens > 0 && vision_ms > 0 ? vision_ms / pictureTokens : null),
    runs: (before?.runs ?? 0) + 1,
    at: Date.now(),
  };
}

/** Adds an answer to the measurements; resolves to the mean so far. */
export async function keepMeasure(rows: Rows, id: string, usage: Usage): Promise<Measure | null> {
  const measure = measured(id, await rows.get("measures", id), usage);
  if (measure) await rows.write({ put: { measures: [measure] } });
  return measure;
}
