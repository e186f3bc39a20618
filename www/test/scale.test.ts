/** The tables of `docs/scale.md` are those of its simulation. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";

test("the tables about scale are those that the simulation prints", () => {
  const printed = execFileSync(process.execPath, ["../benches/scale.mjs"], { encoding: "utf8" });
  const document = readFileSync("../docs/scale.md", "utf8");
  const tables = printed.trim().split("\n\n");
  assert.equal(tables.length, 3);
  for (const table of tables) assert.ok(document.includes(`\n${table}\n`), `docs/scale.md has another table than\n${table}`);
});
