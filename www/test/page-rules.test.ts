/** Rules of the page's own code. No browser takes part. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { brotliCompressSync } from "node:zlib";

const sizeOf = (file: string) => brotliCompressSync(readFileSync(join("dist", file))).length;
const sum = (files: readonly string[]) => files.reduce((sum, file) => sum + sizeOf(file), 0);

/** A script of the page and those that it loads at once. */
function scriptsOf(file: string, found = new Set<string>()): Set<string> {
  if (found.has(file)) return found;
  found.add(file);
  const imports = readFileSync(join("dist", file), "utf8").matchAll(/(?:import|from)\s*"\.\/([\w./-]+\.js)"/g);
  for (const [, other] of imports) scriptsOf(other ?? "", found);
  return found;
}

test("what is loaded before the first interaction has at most 60 kB, all scripts at most 130 kB, by brotli", () => {
  const atOnce = scriptsOf("page.js");
  assert.ok(atOnce.has("ocelli/index.js"), [...atOnce].join(", "));
  const first = sum([...atOnce, "index.html", "style.css", "models.css"]);
  const all = sum([...new Set([...atOnce, ...readdirSync("dist").filter((file) => /^part-.*\.js$/.test(file))])]);
  console.log(`page: ${first} bytes before the first interaction, ${all} of scripts`);
  assert.ok(first <= 60_000 && all <= 130_000, `${first}, ${all}`);
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
