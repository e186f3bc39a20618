import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { after, before, test } from "node:test";
import type { ChatCompletion, DeviceChoice, Engine, KvPrecision, ScoreRequest } from "../src/index.js";
import { inBrowsers, type Tab } from "./driver.js";
import { readTensors } from "./safetensors.js";
import { startSite, type Site } from "./site.js";

const fixtures = resolve("../tests/fixtures");
/** Largest difference of a logit from the one of transformers in f32. */
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
  quant_case: string | null;
  cases: Case[];
}

/** A package and its reference numbers. */
interface Subject {
  /** The package's folder. */
  name: string;
  /** The folder of its cases, in the fixtures and on the server. */
  folder: string;
  /** File of the golden numbers. */
  expected: string;
  /** True if the numbers are those of the stored weights, for every case. */
  stored: boolean;
  device: DeviceChoice;
  /** Threads of the processor. */
  threads?: number;
  /** True if the browser is taken to know no relaxed SIMD. */
  isPlain?: boolean;
}

const QUANTS = ["f16", "q8_0", "q4_0", "q4_64"] as const;

/** Every checkpoint unquantised, and one of them in every layout. The native tests run all of them in all layouts. */
const ALL = process.env["OCELLI_CONFORMANCE"] === "all";
const layouts = (checkpoint: string) => ["f32", ...(ALL || checkpoint === "tied_two_images" ? QUANTS : [])];

/** GGUF files of each block type, except those whose blocks are the layouts above. */
const GGUF = ["mixed", "bf16", "q4_k", "q5_k", "q6_k", "q4_k_compact", ...(ALL ? ["q8_0", "q4_0"] : [])];

/** Pairs of files that llama.cpp's converter wrote. */
const PAIRS = readdirSync(`${fixtures}/gguf`).filter((name) => existsSync(`${fixtures}/gguf/${name}/text.gguf`));

const packages: Pick<Subject, "name" | "folder" | "expected" | "stored">[] = [
  ...readdirSync(`${fixtures}/checkpoints`).flatMap((checkpoint) =>
    layouts(checkpoint).map((quant) => ({
      name: `${checkpoint}-${quant}`,
      folder: `checkpoints/${checkpoint}`,
      expected: quant === "f32" ? "expected" : `expected_${quant}`,
      stored: quant === "f32",
    })),
  ),
  ...GGUF.map((name) => ({
    name: `gguf-${name}`,
    folder: "gguf",
    expected: `expected_${name}`,
    stored: false,
  })),
  ...PAIRS.map((pair) => ({
    name: `gguf-${pair}`,
    folder: `gguf/${pair}`,
    expected: "expected",
    stored: true,
  })),
];

/** Packages that the processor computes as well: one of each family, and one of each layout and block type. */
const ON_PROCESSOR = /^(gemma4|llama3|minicpmv4_6|mllama|qwen3_5|qwen3_vl|smolvlm)-f32$|^tied_two_images-|^gguf-(q4_k|q5_k|q6_k)$/;

/** Packages that it also computes without relaxed SIMD, with one thread and with two. */
const PLAIN = [/^qwen3_5-f32$|^tied_two_images-|^gguf-(q4_k|q5_k|q6_k)$/, /^tied_two_images-(f32|q4_0)$/];

const onProcessor = (names: RegExp, how: { threads: number; isPlain?: boolean }): Subject[] =>
  packages.filter(({ name }) => names.test(name)).map((subject) => ({ ...subject, device: "cpu", ...how }));

const subjects: Subject[] = [
  ...packages.map((subject) => ({ ...subject, device: "gpu" as const })),
  ...onProcessor(ALL ? /./ : ON_PROCESSOR, { threads: 1 }),
  ...PLAIN.flatMap((names, index) => onProcessor(names, { threads: index + 1, isPlain: true })),
];

/** The worker of a browser without relaxed SIMD. */
const PLAIN_WORKER = {
  "/test/plain.js": "WebAssembly.validate = () => false;",
  "/test/plain-worker.js": 'import "/test/plain.js";\nimport "/ocelli/worker.js";\n',
};

/** Results of `compute` in the browser for one case. */
interface Found {
  inputIds: number[];
  maxDifference: number;
  /** Root mean square of the differences, relative to that of the logits. */
  relativeDifference: number;
  /** The likeliest token after the prompt and after each of the golden tokens but the last. */
  greedy: number[];
}

inBrowsers("logits and tokens of transformers", (browser) => {
  let site: Site;
  let tab: Tab;
  before(async () => {
    site = await startSite();
    // Isolated, for threads.
    site.headers = { "cross-origin-opener-policy": "same-origin", "cross-origin-embedder-policy": "require-corp" };
    for (const [path, text] of Object.entries(PLAIN_WORKER)) site.replaced.set(path, new TextEncoder().encode(text));
    tab = await browser().newTab();
    await tab.goto(`${site.url}test/blank.html`);
  });
  after(async () => {
    await tab?.close();
    await site?.stop();
  });

  for (const { name: folderName, folder, expected, stored, device, threads = null, isPlain = false } of subjects) {
    const where = device === "gpu" ? "" : isPlain ? ` on the processor without relaxed SIMD, threads: ${threads}` : " on the processor";
    const name = `${folderName}${where}`;
    const { quant_case, cases } = JSON.parse(readFileSync(`${fixtures}/${folder}/cases.json`, "utf8")) as Cases;

    test(`${name} loads`, async () => {
      site.requests.clear();
      const of = { folderName, device, threads, isPlain };
      const found = await tab.run(async ({ folderName, device, threads, isPlain }) => {
        const { Engine } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
        const worker = isPlain ? { worker: new Worker("/test/plain-worker.js", { type: "module" }) } : {};
        const engine = await Engine.load(`/packages/${folderName}/`, { device, ...(threads && { threads }), ...worker });
        Object.assign(window, { engine });
        return engine.device;
      }, of);
      if (device === "gpu") return assert.equal(found.threads, undefined);
      // Helpers are not started in Firefox.
      const isShared = threads === 2 && browser().name === "Chromium";
      assert.equal(found.threads, isShared ? 2 : 1);
      const modules = [...site.requests.keys()].filter((path) => path.includes("ocelli_cpu"));
      if (isPlain) assert.deepEqual(modules, [`/ocelli/wasm/ocelli_cpu${isShared ? "_threads" : ""}_bg.wasm`]);
    });

    // Quantised weights have their own golden numbers, for one case each.
    for (const golden of cases.filter((golden) => stored || golden.name === quant_case)) {
      test(`${name}: ${golden.name}`, async (t) => {
        const tensors = readTensors(`${fixtures}/${folder}/${expected}.safetensors`);
        const logits = tensors(`${golden.name}.logits`);
        const greedy = [...tensors(`${golden.name}.greedy`).values];
        const found = await compute(tab, folder, { ...golden, greedy }, logits.values);
        assert.deepEqual(found.inputIds, golden.input_ids);
        assert.ok(found.maxDifference <= MAX_DIFFERENCE, `a logit differs by ${found.maxDifference}`);
        assert.deepEqual(found.greedy, greedy);
        t.diagnostic(`largest difference ${found.maxDifference.toExponential(2)} of ${logits.values.length} logits`);
      });
    }

    for (const golden of cases.filter((golden) => stored && "messages" in golden.request)) {
      test(`${name}: ${golden.name} is the same token by token over the cache`, async () => {
        assert.equal(await converse(tab, folder, golden), golden.greedy_text);
      });
    }

    test(`${name} unloads`, async () => {
      await tab.run(() => (window as unknown as { engine: { unload(): void } }).engine.unload());
    });
  }
});

/** Expected rounding error of a number in the cache, as in `tests/gpu/model/cache.rs`. */
const rounding: Partial<Record<KvPrecision, number>> = { f16: 2 ** -11 / Math.sqrt(3), int8: 3 / 254 / Math.sqrt(3) };

inBrowsers("rounded KV cache", (browser) => {
  const [folder, layers] = ["checkpoints/tied_two_images", 3];
  const { quant_case, cases } = JSON.parse(readFileSync(`${fixtures}/${folder}/cases.json`, "utf8")) as Cases;
  const golden = cases.find(({ name }) => name === quant_case) as Case;
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

  const each = Object.entries(rounding).flatMap(([precision, size]) =>
    (["gpu", "cpu"] as const).map((device) => ({ precision, size, device })),
  );
  for (const { precision, size, device } of each) {
    test(`${precision} on the ${device}: logits differ by that rounding`, async (t) => {
      const options = { kvPrecision: precision as KvPrecision, device };
      const chosen = await tab.run(async (options) => {
        const { Engine } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
        const engine = await Engine.load("/packages/tied_two_images-f32/", options);
        Object.assign(window, { engine });
        return engine.kvPrecision;
      }, options);
      assert.equal(chosen, precision);
      const tensors = readTensors(`${fixtures}/${folder}/expected.safetensors`);
      const greedy = [...tensors(`${golden.name}.greedy`).values];
      const found = await compute(tab, folder, { ...golden, greedy }, tensors(`${golden.name}.logits`).values);
      assert.deepEqual(found.inputIds, golden.input_ids);
      const off = found.relativeDifference;
      assert.ok(off >= size / 2 && off <= 2 * layers * size, `off by ${off} of the logits`);
      t.diagnostic(`off by ${off.toExponential(2)} of the logits`);
      await tab.run(() => (window as unknown as { engine: { unload(): void } }).engine.unload());
    });
  }

  test("unknown precisions are refused by name", async () => {
    const { code, message } = await tab.run(async () => {
      const { Engine } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
      const loading = Engine.load("/packages/tied_two_images-f32/", { kvPrecision: "f64" as KvPrecision });
      return loading.then(
        () => ({ code: "none", message: "it was loaded" }),
        (thrown: { code: string; message: string }) => ({ code: thrown.code, message: thrown.message }),
      );
    });
    assert.equal(code, "invalid-request");
    assert.match(message, /kvPrecision.*f64/);
  });
});

/** The request, with the URLs that its pictures have on the server. */
function located(folder: string, golden: Case): ScoreRequest {
  return JSON.parse(JSON.stringify(golden.request).replaceAll('"images/', `"/${folder}/images/`)) as ScoreRequest;
}

/** The greedy answer to a case's messages. */
function converse(tab: Tab, folder: string, golden: Case): Promise<string> {
  const request = { ...located(folder, golden), temperature: 0, max_tokens: golden.greedy.length };
  return tab.run(async (request) => {
    const { engine } = window as unknown as { engine: Engine };
    const completion = await engine.chat.completions.create(request as never);
    return (completion as unknown as ChatCompletion).choices[0]?.message.content ?? "";
  }, request);
}

function compute(tab: Tab, folder: string, golden: Case, expected: Float32Array): Promise<Found> {
  const url = (file: string) => `/${folder}/${file}`;
  const argument = {
    request: located(folder, golden),
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
    const squares = (value: (index: number) => number) => wanted.reduce((sum, _, index) => sum + value(index) ** 2, 0);
    const off = squares((index) => (wanted[index] as number) - (logits[index] as number));
    const relativeDifference = Math.sqrt(off / squares((index) => wanted[index] as number));
    return { inputIds: [...inputIds], maxDifference, relativeDifference, greedy: likeliest };
  }, argument);
}
