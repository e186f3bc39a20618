import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { after, before, test } from "node:test";
import type { ChatCompletion, Engine, ScoreRequest } from "../src/index.js";
import { inBrowsers, type Tab } from "./driver.js";
import { readTensors } from "./safetensors.js";
import { startSite, type Site } from "./site.js";

const checkpoints = resolve("../tests/fixtures/checkpoints");
/** 8-bit floats are not imported, which the native tests check: there is no package to compare. */
const NOT_IMPORTED = ["fp8"];
/** Largest difference of a logit from what transformers computes in f32. */
const MAX_DIFFERENCE = 2e-3;

interface Case {
  name: string;
  request: ScoreRequest;
  input_ids: number[];
  images: string[];
  greedy: number[];
  greedy_text: string;
}

interface Cases {
  /** The case that was also computed with quantised weights. */
  quant_case: string;
  cases: Case[];
}

/** What `compute` finds in the browser for one case. */
interface Found {
  inputIds: number[];
  maxDifference: number;
  /** The likeliest token after the prompt and after each of the golden tokens but the last. */
  greedy: number[];
}

inBrowsers("logits and tokens as transformers computes them", (browser) => {
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

  for (const checkpoint of readdirSync(checkpoints).filter((name) => !NOT_IMPORTED.includes(name))) {
    for (const quant of ["f32", "f16", "q8_0", "q4_0"]) {
      const { quant_case, cases } = JSON.parse(readFileSync(`${checkpoints}/${checkpoint}/cases.json`, "utf8")) as Cases;
      const name = `${checkpoint}-${quant}`;

      test(`${name}: loads`, async () => {
        await tab.run(async (name) => {
          const { Engine } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
          Object.assign(window, { engine: await Engine.load(`/packages/${name}/`) });
        }, name);
      });

      // Quantised weights have their own golden numbers, for one case each.
      for (const golden of cases.filter((golden) => quant === "f32" || golden.name === quant_case)) {
        test(`${name}: ${golden.name}`, async (t) => {
          const tensors = readTensors(`${checkpoints}/${checkpoint}/expected${quant === "f32" ? "" : `_${quant}`}.safetensors`);
          const logits = tensors(`${golden.name}.logits`);
          const greedy = [...tensors(`${golden.name}.greedy`).values];
          const found = await compute(tab, checkpoint, { ...golden, greedy }, logits.values);
          assert.deepEqual(found.inputIds, golden.input_ids);
          assert.ok(found.maxDifference <= MAX_DIFFERENCE, `a logit differs by ${found.maxDifference}`);
          assert.deepEqual(found.greedy, greedy);
          t.diagnostic(`largest difference ${found.maxDifference.toExponential(2)} of ${logits.values.length} logits`);
        });
      }

      for (const golden of cases.filter((golden) => quant === "f32" && "messages" in golden.request)) {
        test(`${name}: ${golden.name}, token by token over the cache`, async () => {
          assert.equal(await converse(tab, checkpoint, golden), golden.greedy_text);
        });
      }

      test(`${name}: unloads`, async () => {
        await tab.run(() => (window as unknown as { engine: { unload(): void } }).engine.unload());
      });
    }
  }
});

/** The request with its pictures where the server has them. */
function located(checkpoint: string, golden: Case): ScoreRequest {
  return JSON.parse(JSON.stringify(golden.request).replaceAll('"images/', `"/checkpoints/${checkpoint}/images/`)) as ScoreRequest;
}

/** What the likeliest tokens spell after a case's messages. */
function converse(tab: Tab, checkpoint: string, golden: Case): Promise<string> {
  const request = { ...located(checkpoint, golden), temperature: 0, max_tokens: golden.greedy.length };
  return tab.run(async (request) => {
    const { engine } = window as unknown as { engine: Engine };
    const completion = await engine.chat.completions.create(request as never);
    return (completion as unknown as ChatCompletion).choices[0]?.message.content ?? "";
  }, request);
}

function compute(tab: Tab, checkpoint: string, golden: Case, expected: Float32Array): Promise<Found> {
  const url = (file: string) => `/checkpoints/${checkpoint}/${file}`;
  const argument = {
    request: located(checkpoint, golden),
    images: golden.images.map(url),
    greedy: golden.greedy,
    expected: Buffer.from(expected.buffer, expected.byteOffset, expected.byteLength).toString("base64"),
  };
  return tab.run(async ({ request, images, greedy, expected }) => {
    type Score = { inputIds: Uint32Array; logits: Float32Array; vocabSize: number };
    const { engine } = window as unknown as { engine: { score(request: unknown): Promise<Score> } };
    const { inputIds, logits } = await engine.score(request);
    const bytes = Uint8Array.from(atob(expected), (letter) => letter.charCodeAt(0));
    const wanted = new Float32Array(bytes.buffer);
    let maxDifference = wanted.length === logits.length ? 0 : Infinity;
    wanted.forEach((value, index) => {
      const difference = Math.abs(value - (logits[index] as number));
      // Written so that NaN counts as a difference.
      if (!(difference <= maxDifference)) maxDifference = Number.isNaN(difference) ? Infinity : difference;
    });

    const longer = [...inputIds, ...greedy.slice(0, -1)];
    const scored = await engine.score({ input_ids: longer, images });
    const likeliest = greedy.map((_, step) => {
      const row = inputIds.length - 1 + step;
      const values = scored.logits.subarray(row * scored.vocabSize, (row + 1) * scored.vocabSize);
      return values.indexOf(values.reduce((best, value) => Math.max(best, value), -Infinity));
    });
    return { inputIds: [...inputIds], maxDifference, greedy: likeliest };
  }, argument);
}
