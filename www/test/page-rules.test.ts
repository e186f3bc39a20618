/** Rules of the page's own code. No browser takes part. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { brotliCompressSync } from "node:zlib";

const sizeOf = (file: string) => brotliCompressSync(readFileSync(join("dist", file))).length;

test("what is loaded before the first interaction has at most 60 kB, all scripts at most 130 kB, by brotli", () => {
  const scripts = sizeOf("page.js") + sizeOf("ocelli/index.js");
  const first = scripts + ["index.html", "style.css", "models.css"].reduce((sum, file) => sum + sizeOf(file), 0);
  console.log(`page: ${first} bytes before the first interaction, ${scripts} of scripts`);
  assert.ok(first <= 60_000 && scripts <= 130_000, `${first}, ${scripts}`);
});

test("no markup is made of strings", () => {
  const files = readdirSync("page", { recursive: true, encoding: "utf8" }).filter((file) => /\.tsx?$/.test(file));
  assert.ok(files.length > 40);
  for (const file of files) {
    const found = /innerHTML|outerHTML|insertAdjacentHTML|document\.write|dangerouslySetInnerHTML/.exec(
      readFileSync(join("page", file), "utf8"),
    );
    assert.equal(found, null, file);
  }
});

/** Codes with the advice for everything else: faults of the page itself, and what is not shown. */
const OTHERS =
  "gpu budget-exceeded invalid-request unsupported-option model-not-found no-such-object unknown-url wrong-method aborted internal unloaded";

test("every error code has an advice, or is one of those that share one", async () => {
  const { en } = await import("../page/words/en.js");
  const type = readFileSync("src/errors.ts", "utf8").split("export type ErrorCode =")[1]?.split("\n\n")[0] ?? "";
  const codes = [...type.matchAll(/\| "([\w-]+)"/g)].map(([, code]) => code ?? "");
  assert.deepEqual([...Object.keys(en.problems.codes), ...OTHERS.split(" ")].sort(), codes.sort());
});
