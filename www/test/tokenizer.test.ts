/** Browsers split and compose text with their own functions: the tokens must equal those of the libraries in Rust and Python. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { after, before, test } from "node:test";
import { inBrowsers, type Tab } from "./driver.js";
import { startSite, type Site } from "./site.js";

interface Case {
  text: string;
  ids: number[];
}

/** The file that `tests/cpu/tokenizer/export.rs` writes. A list of runs holds the first and the last code point of each run. */
interface Exported {
  classes: { class: string; spelled: string; runs: number[] }[];
  unassigned: number[];
  patterns: { pattern: string; spelled: string; texts: string[]; cuts: number[][] }[];
}

/** Runs of the code points that match a class, in the page. */
function matching(spelled: string): number[] {
  const regex = new RegExp(`^(?:${spelled})$`, "v");
  const runs: number[] = [];
  for (let point = 0, last = -2; point <= 0x10ffff; point++) {
    if (point === 0xd800) point = 0xe000;
    if (!regex.test(String.fromCodePoint(point))) continue;
    // The library has no surrogates, so the code points before and after them form one run.
    if (point === last + 1 || (point === 0xe000 && last === 0xd7ff)) runs[runs.length - 1] = point;
    else runs.push(point, point);
    last = point;
  }
  return runs;
}

/** Start and end of every match, in the page. */
function cutsOf({ spelled, texts }: { spelled: string; texts: string[] }): number[][] {
  const regex = new RegExp(spelled, "gv");
  return texts.map((text) => {
    const cuts = [...text.matchAll(regex)].flatMap((found) => [found.index, found.index + found[0].length]);
    return [...new Set(cuts)].sort((a, b) => a - b);
  });
}

/** True if a code point is in one of the runs. */
function within(runs: number[], point: number): boolean {
  return runs.some((first, index) => index % 2 === 0 && point >= first && point <= (runs[index + 1] ?? first));
}

/** The code points that are in exactly one of two lists of runs. */
function difference(a: number[], b: number[]): number[] {
  const points = new Set<number>();
  for (const runs of [a, b]) {
    for (let index = 0; index < runs.length; index += 2) {
      for (let point = runs[index] ?? 0; point <= (runs[index + 1] ?? 0); point++) {
        if (!points.delete(point)) points.add(point);
      }
    }
  }
  return [...points];
}

inBrowsers("tokenizer", (browser) => {
  let site: Site;
  let tab: Tab;
  before(async () => {
    site = await startSite();
    tab = await browser().newTab();
    await tab.goto(`${site.url}test/blank.html`);
  });
  after(async () => {
    await tab?.close();
    await site?.stop();
  });

  test("patterns of published tokenizers split text like the library", async () => {
    const { classes, unassigned, patterns } = JSON.parse(readFileSync(resolve("../target/tmp/patterns.json"), "utf8")) as Exported;
    const newer = new Set<number>();
    for (const { class: name, spelled, runs } of classes) {
      const own = await tab.run(matching, spelled);
      const differing = difference(own, runs);
      // A browser's Unicode may be newer than the library's: it has more characters, and a few of another category.
      const changed = differing.filter((point) => !within(unassigned, point));
      const points = () => changed.map((point) => point.toString(16)).join(" ");
      assert.ok(differing.length < 20_000 && changed.length < 16, `${name}: ${differing.length} code points, of old ones ${points()}`);
      for (const point of differing) newer.add(point);
    }
    for (const { pattern, spelled, texts, cuts } of patterns) {
      const own = await tab.run(cutsOf, { spelled, texts });
      let compared = 0;
      for (const [index, text] of texts.entries()) {
        if ([...text].some((c) => newer.has(c.codePointAt(0) ?? 0))) continue;
        assert.deepEqual(own[index], cuts[index], `${pattern} on ${JSON.stringify(text)}`);
        compared += 1;
      }
      assert.ok(compared > 0.8 * texts.length, `${pattern}: ${compared} texts`);
    }
  });

  for (const [name, file] of [
    ["tied_two_images", "tokenizer_cases.json"],
    ["llama3", "tokenizers/llama3_cases.json"],
  ] as const) {
    test(`the tokenizer of ${name} gives the library's tokens`, async () => {
      const { plain } = JSON.parse(readFileSync(resolve("../tests/fixtures", file), "utf8")) as { plain: Case[] };
      const cases = plain.filter(({ text, ids }) => text.length > 0 && ids.length < 128);
      assert.ok(cases.length >= 250);
      const tokens = await tab.run(
        async ({ name, texts }) => {
          const { Engine } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
          const engine = await Engine.load(`/packages/${name}-q4_0/`, { context: 256 });
          const tokens: number[][] = [];
          for (const prompt of texts) tokens.push((await engine.tokenize({ prompt })).tokens);
          engine.unload();
          return tokens;
        },
        { name, texts: cases.map(({ text }) => text) },
      );
      for (const [index, { text, ids }] of cases.entries()) {
        // A prompt begins with a control token.
        assert.deepEqual(tokens[index]?.slice(-ids.length), ids, JSON.stringify(text));
        assert.ok((tokens[index]?.length ?? 0) <= ids.length + 1, JSON.stringify(text));
      }
    });
  }
});
