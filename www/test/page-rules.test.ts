/** Rules of the page's own code. No browser takes part. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { brotliCompressSync } from "node:zlib";

const sizeOf = (file: string) => brotliCompressSync(readFileSync(join("dist", file))).length;

const [AT_ONCE, AT_ANY_TIME] = [/(?:from|import)"\.\/([^"]+)"/g, /(?:from|import)\(?"\.\/([^"]+)"/g];

/** A script and those that it imports, except languages. */
function withImports(file: string, imports: RegExp, known = new Set<string>()): Set<string> {
  if (known.has(file) || /^(main|late)-/.test(file)) return known;
  known.add(file);
  const text = readFileSync(join("dist", file), "utf8");
  for (const [, name] of text.matchAll(imports)) withImports(name ?? "", imports, known);
  return known;
}

test("what is loaded before the first interaction has at most 60 kB, all scripts at most 130 kB, by brotli", () => {
  const sum = (files: Iterable<string>) => [...files].reduce((bytes, file) => bytes + sizeOf(file), 0);
  const first = withImports("page.js", AT_ONCE);
  const scripts = withImports("page.js", AT_ANY_TIME).add("server-worker.js");
  const [start, all] = [sum([...first, "index.html", "style.css", "models.css"]), sum(scripts)];
  console.log(`page: ${start} bytes before the first interaction, ${all} of scripts`);
  assert.ok(first.has("ocelli/index.js") && [...scripts].some((file) => /^settings-/.test(file) && !first.has(file)));
  assert.ok(start <= 60_000 && all <= 130_000, `${start}, ${all}`);
});

test("a language has at most 6 kB for the first view and 10 kB for all others, by brotli", () => {
  const files = readdirSync("dist").filter((file) => /^(main|late)-[A-Z0-9]{8}\.js$/.test(file));
  assert.equal(files.length, 10, "five languages beside English");
  const sizes = (kind: string) => files.filter((file) => file.startsWith(kind)).map(sizeOf);
  console.log(`languages: ${sizes("main-").join(", ")} bytes for the first view, ${sizes("late-").join(", ")} for the others`);
  assert.ok(Math.max(...sizes("main-")) <= 6_000 && Math.max(...sizes("late-")) <= 10_000);
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
  const { en } = await import("../page/words/en/main.js");
  const type = readFileSync("src/errors.ts", "utf8").split("export type ErrorCode =")[1]?.split("\n\n")[0] ?? "";
  const codes = [...type.matchAll(/\| "([\w-]+)"/g)].map(([, code]) => code ?? "");
  assert.deepEqual([...Object.keys(en.problems.codes), ...OTHERS.split(" ")].sort(), codes.sort());
});
