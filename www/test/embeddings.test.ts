/** `engine.embeddings` against `transformers`. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { after, before, test } from "node:test";
import type { EmbeddingRequest } from "../src/index.js";
import { inBrowsers, type Tab } from "./driver.js";
import { startSite, type Site } from "./site.js";

const CHECKPOINT = "qwen3_vl";
/** Largest distance of a cosine from 1. */
const FURTHEST = 1e-4;

interface Fixture {
  cases: { name: string; body: EmbeddingRequest; tokens: number; embedding: number[] }[];
}

inBrowsers("embeddings", (browser) => {
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

  test("embeddings of texts and pictures are those of transformers", async () => {
    const text = readFileSync(resolve(`../tests/fixtures/checkpoints/${CHECKPOINT}/embeddings.json`), "utf8");
    const { cases } = JSON.parse(text.replaceAll('"images/', `"/checkpoints/${CHECKPOINT}/images/`)) as Fixture;
    const bodies = cases.map(({ body }) => body);
    const { lists, refusal } = await tab.run(async (bodies) => {
      const { Engine } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
      const source = "/packages/qwen3_vl-f32/";
      const untrained = await Engine.load(source);
      const refusal = await untrained.embeddings.create({ input: "a" }).then(
        () => null,
        (thrown: unknown) => (thrown as { code: string }).code,
      );
      untrained.unload();
      const engine = await Engine.load(source, { embeddings: true });
      const lists = [];
      for (const body of bodies) lists.push(await engine.embeddings.create(body));
      const [first] = bodies;
      if (first) lists.push(await engine.embeddings.create({ ...first, encoding_format: "base64" }));
      engine.unload();
      return { lists, refusal };
    }, bodies);
    assert.equal(refusal, "unsupported-option", "a model that was not trained for embeddings needs the option");
    const packed = lists.pop()?.data[0]?.embedding as string;
    const embeddings = lists.map(({ data }) => data[0]?.embedding as number[]);
    for (const [index, { name, tokens, embedding }] of cases.entries()) {
      const made = embeddings[index] ?? [];
      assert.equal(lists[index]?.usage.prompt_tokens, tokens, name);
      assert.ok(Math.abs(dot(made, made) - 1) < 1e-5, `${name}: not of unit length`);
      const distance = 1 - dot(made, embedding) / Math.sqrt(dot(made, made) * dot(embedding, embedding));
      assert.ok(distance <= FURTHEST, `${name}: 1 - cosine is ${distance}`);
    }
    const bytes = Buffer.from(packed, "base64");
    const unpacked = Array.from({ length: bytes.length / 4 }, (_, index) => bytes.readFloatLE(4 * index));
    assert.deepEqual(unpacked.map(Math.fround), embeddings[0]?.map(Math.fround));
  });
});

function dot(a: readonly number[], b: readonly number[]): number {
  assert.equal(a.length, b.length);
  return a.reduce((sum, value, index) => sum + value * (b[index] as number), 0);
}
