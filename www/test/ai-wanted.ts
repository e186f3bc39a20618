/** Expected results of the calls in `ai-calls.ts`, for every provider. */
import assert from "node:assert/strict";
import type { describe, failures, objects, Scene, tools } from "./ai-calls.js";
import { WANTED } from "./client-page.js";

type Told<Call extends (...all: never[]) => Promise<unknown>> = Awaited<ReturnType<Call>>;

export function assertScene(value: unknown): void {
  const { shape, count } = value as Scene;
  assert.ok((shape === "circle" || shape === "star") && Number.isInteger(count) && count >= 0 && count <= 9, JSON.stringify(value));
}

export function assertDescribed({ texts, pieces, tokens, reasons, warnings }: Told<typeof describe>): void {
  assert.deepEqual([texts, reasons, warnings], [Array(3).fill(WANTED), Array(2).fill("stop"), []]);
  assert.ok(pieces > 3, `${pieces} pieces`);
  assert.ok(tokens[0] && tokens[0] === tokens[1], tokens.join());
}

export function assertObjects({ whole, streamed, parts }: Told<typeof objects>): void {
  assertScene(whole);
  assertScene(streamed);
  assert.ok(parts > 1, `${parts} parts`);
}

export function assertTools({ painted, steps, calls, kinds }: Told<typeof tools>): void {
  assert.deepEqual([painted.length, steps[0], steps.length], [1, "tool-calls", 2]);
  assert.deepEqual(calls, [{ toolName: "paint", input: painted[0] }]);
  assertScene(painted[0]);
  for (const kind of ["tool-input-start", "tool-input-delta", "tool-call"]) assert.ok(kinds.includes(kind), kinds.join());
}

export function assertFailed({ aborts, pieces, refused }: Told<typeof failures>): void {
  assert.equal(aborts, 1);
  assert.ok(pieces >= 2 && pieces < 450, `${pieces} pieces`);
  assert.deepEqual(refused, [404, false]);
}
