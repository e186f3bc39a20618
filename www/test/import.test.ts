import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import type { ErrorData, GgufSource, ImportOptions, SafetensorsSource, ScoreRequest } from "../src/index.js";
import { inBrowsers, until, type Tab } from "./driver.js";
import { readTensors } from "./safetensors.js";
import { startSite, type Site } from "./site.js";

const PAIR: GgufSource = { gguf: "/gguf/q4_k.gguf", mmproj: "/gguf/mmproj.gguf" };
const fixtures = resolve("../tests/fixtures/gguf");
const SIZE = ["q4_k", "mmproj"].map((name) => readFileSync(`${fixtures}/${name}.gguf`).length).reduce((a, b) => a + b);
/** Largest difference of a logit from the one of transformers in f32. */
const MAX_DIFFERENCE = 2e-3;
/** Small shards, so that there are many points of interruption. */
const SHARD_BYTES = 64 << 10;
const SMALL = { shardBytes: SHARD_BYTES, network: { blockBytes: 8 << 10, readAhead: 2 } };
/** The same, with the contents of the files. */
const PINNED = { ...SMALL, pins: Object.fromEntries(["q4_k.gguf", "mmproj.gguf"].map((name) => [name, pinOf(name)])) };
/** Number of times that an import is killed. */
const kills = (browser: string) => Number(process.env["OCELLI_KILLS"] ?? (browser === "Chromium" ? 10 : 6));

interface Cases {
  quant_case: string;
  cases: { name: string; request: ScoreRequest }[];
}

interface Imported {
  manifest: string;
  name: string;
  wasmBytes: number;
  packageUrl: string;
}

inBrowsers("imports", (browser) => {
  let site: Site;
  let tab: Tab;
  before(async () => {
    site = await startSite();
    tab = await browser().newTab();
    await tab.goto(`${site.url}test/blank.html`);
  });
  beforeEach(() => {
    site.requests.clear();
    site.sent.clear();
  });
  after(async () => {
    await tab?.close();
    await site?.stop();
  });

  const nativeManifest = (name: string) => readFileSync(resolve(`../target/fixture-packages/${name}/model.json`), "utf8");
  const askedFor = (folder: string) => [...site.requests.keys()].filter((path) => path.startsWith(folder));
  const bytesSent = () => [...site.sent].filter(([path]) => path.startsWith("/gguf/")).reduce((sum, [, bytes]) => sum + bytes, 0);

  test("a GGUF pair by address becomes the package that `ocelli pack` makes, with every byte read once", async () => {
    const { manifest, name, wasmBytes } = await make(tab, PAIR);
    assert.equal(manifest, nativeManifest("gguf-q4_k"));
    assert.equal(name, "Tiny GGUF");
    assert.ok(wasmBytes > 0 && wasmBytes <= 256 << 20, `${wasmBytes} bytes of wasm memory`);
    assert.ok(bytesSent() <= SIZE, `${bytesSent()} of ${SIZE} bytes were sent`);
  });

  test("an import in fewer bits becomes the package that `ocelli pack --quant compact` makes", async () => {
    const { manifest } = await make(tab, PAIR, { layout: "compact" });
    assert.equal(manifest, nativeManifest("gguf-q4_k_compact"));
  });

  test("the imported model gives the logits of transformers, without network requests", async () => {
    const { quant_case, cases } = JSON.parse(readFileSync(`${fixtures}/cases.json`, "utf8")) as Cases;
    const golden = cases.find(({ name }) => name === quant_case);
    const request = JSON.stringify(golden?.request).replaceAll('"images/', '"/gguf/images/');
    const logits = await tab.run(
      async ({ pair, request }) => {
        const { Engine } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
        const engine = await Engine.load(pair);
        const { logits } = await engine.score(JSON.parse(request) as never);
        engine.unload();
        return [...logits];
      },
      { pair: PAIR, request },
    );
    const { values } = readTensors(`${fixtures}/expected_q4_k.safetensors`)(`${quant_case}.logits`);
    assert.equal(logits.length, values.length);
    const difference = logits.reduce((most, logit, index) => Math.max(most, Math.abs(logit - (values[index] as number))), 0);
    assert.ok(difference <= MAX_DIFFERENCE, `a logit differs by ${difference}`);
    assert.deepEqual(
      askedFor("/gguf/").filter((path) => path.endsWith(".gguf")),
      [],
    );
  });

  test("files from the user become the same package", async () => {
    const { manifest } = await tab.run(async (make) => {
      const file = async (url: string) => new File([await (await fetch(url)).blob()], url.split("/").at(-1) as string, { lastModified: 7 });
      const pair = { gguf: await file("/gguf/q4_k.gguf"), mmproj: await file("/gguf/mmproj.gguf") };
      return (await new Function(`return (${make})`)()({ source: pair })) as Imported;
    }, makeInPage.toString());
    assert.equal(manifest, nativeManifest("gguf-q4_k"));
  });

  for (const checkpoint of ["fp8", "small31"]) {
    test(`a folder of safetensors is imported by address: ${checkpoint}`, async () => {
      const { manifest } = await make(tab, { safetensors: `/checkpoints/${checkpoint}` });
      assert.equal(manifest, nativeManifest(`${checkpoint}-q4_0`));
      const half = await make(tab, { safetensors: `/checkpoints/${checkpoint}/` }, { layout: "f16" });
      assert.equal(half.manifest, nativeManifest(`${checkpoint}-f16`));
      assert.notEqual(askedFor("/checkpoints/").length, 0);
      site.requests.clear();
      await make(tab, { safetensors: `/checkpoints/${checkpoint}/` }, { layout: "f16" });
      assert.deepEqual(askedFor("/checkpoints/"), []);
    });
  }

  test("checkpoints that cannot be imported are refused with a code", async () => {
    const told = await tab.run(async (pair) => {
      const { importModel } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
      const failure = (source: unknown, options = {}) =>
        importModel(source as never, options).then(
          () => "it did not fail",
          (thrown: unknown) => {
            if (typeof thrown !== "object" || thrown === null || !("code" in thrown)) return String(thrown);
            const { code, message, detail } = thrown as ErrorData;
            return { code, message, detail };
          },
        );
      const quick = { import: { network: { attempts: 1 } } };
      return {
        missing: await failure({ gguf: "/gguf/none.gguf" }, quick),
        "no GGUF": await failure({ gguf: new File(["not a model"], "notes.gguf") }),
        "no text model": await failure({ gguf: pair.mmproj }),
        "no folder": await failure({ safetensors: "/nowhere/" }, quick),
        layout: await failure(pair, { import: { layout: "q4_k" } }),
        source: await failure({ onnx: "/x" }),
        address: await failure({ gguf: "http://[" }),
        aborted: await failure({ gguf: "/gguf/q8_0.gguf" }, { signal: AbortSignal.abort("before") }),
      };
    }, PAIR);
    const codes = Object.fromEntries(Object.entries(told).map(([name, error]) => [name, typeof error === "string" ? error : error.code]));
    assert.deepEqual(codes, {
      missing: "invalid-checkpoint",
      "no GGUF": "invalid-checkpoint",
      "no text model": "unsupported-architecture",
      "no folder": "invalid-checkpoint",
      layout: "invalid-request",
      source: "invalid-request",
      address: "invalid-request",
      aborted: "before",
    });
    assert.match(JSON.stringify(told["missing"]), /none\.gguf/);
  });

  test("an import killed at many moments resumes and ends with the same bytes", async (t) => {
    const count = kills(browser().name);
    const expected = await make(tab, PAIR, PINNED);
    const random = randomNumbers(20261121);
    let resumed = 0;
    for (let kill = 0; kill < count; kill++) {
      await forget(tab, expected.packageUrl);
      await interrupt(tab, site, Math.floor((70 * (kill + random())) / count), kill % 2 === 0, PINNED);
      const [interrupted] = await listInterrupted(tab);
      site.sent.clear();
      const { manifest, firstLoaded } = await make(tab, PAIR, PINNED);
      assert.equal(manifest, expected.manifest, `kill ${kill}`);
      const missing = SIZE - (interrupted?.loaded ?? 0);
      assert.ok(bytesSent() <= missing + SHARD_BYTES, `kill ${kill}: ${bytesSent()} bytes for ${missing} missing ones`);
      if (interrupted) {
        assert.equal(JSON.stringify(interrupted.source).includes("q4_k.gguf"), true);
        assert.ok(firstLoaded >= interrupted.loaded, `it resumes at ${firstLoaded}, the checkpoint was at ${interrupted.loaded}`);
        resumed++;
      }
      assert.deepEqual(await listInterrupted(tab), []);
    }
    assert.ok(resumed > count / 4, `only ${resumed} of ${count} had come as far as a checkpoint`);
    t.diagnostic(`${resumed} of ${count} resumed from a checkpoint`);
  });

  test("a changed file is imported again from the start", async () => {
    const { packageUrl } = await make(tab, PAIR, SMALL);
    await forget(tab, packageUrl);
    await interrupt(tab, site, 40, false);
    assert.equal((await listInterrupted(tab)).length, 1);
    site.replaced.set("/gguf/q4_k.gguf", readFileSync(`${fixtures}/q5_k.gguf`));
    const changed = await make(tab, PAIR, SMALL);
    site.replaced.clear();
    const expected = await make(tab, { ...PAIR, gguf: "/gguf/q5_k.gguf" }, SMALL);
    assert.equal(changed.manifest, expected.manifest);
    await forget(tab, packageUrl);
  });

  test("a file with another content than the known one is refused, and nothing is left of it", async () => {
    const options = { ...PINNED, name: "Known" };
    const path = "/gguf/q4_k.gguf";
    const file = readFileSync(`${fixtures}/q4_k.gguf`);
    const changed = Buffer.from(file);
    changed[changed.length - 1] = (changed.at(-1) as number) ^ 1;
    site.replaced.set(path, changed);
    const other = await failure(tab, options);
    site.replaced.set(path, file.subarray(0, file.length - 1));
    const shorter = await failure(tab, options);
    site.replaced.clear();
    const { sha256, bytes } = pinOf("q4_k.gguf");
    const actual = createHash("sha256").update(changed).digest("hex");
    assert.deepEqual([other.code, other.detail], ["integrity", { file: "q4_k.gguf", expected: sha256, actual }]);
    assert.deepEqual([shorter.code, shorter.detail?.["expected"]], ["integrity", `${bytes} bytes`]);
    assert.deepEqual(await listInterrupted(tab), []);
    site.sent.clear();
    assert.equal((await make(tab, PAIR, options)).name, "Known");
    assert.ok(bytesSent() <= SIZE, `${bytesSent()} of ${SIZE} bytes were sent`);
  });

  test("a damaged stored shard is detected and made again", async () => {
    const { packageUrl, manifest } = await make(tab, PAIR, SMALL);
    const code = await tab.run(
      async ({ packageUrl, pair, options }) => {
        const cache = await caches.open("ocelli-packages-v1");
        const shard = (await cache.keys()).filter(({ url }) => url.startsWith(packageUrl) && url.includes("shard-")).at(3) as Request;
        const bytes = new Uint8Array(await ((await cache.match(shard)) as Response).arrayBuffer());
        bytes[100] = (bytes[100] as number) ^ 1;
        await cache.put(shard, new Response(bytes));
        const { Engine } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
        return Engine.load(pair, { import: options }).then(
          () => "loaded",
          (thrown: unknown) => (thrown as ErrorData).code,
        );
      },
      { packageUrl, pair: PAIR, options: SMALL },
    );
    assert.equal(code, "integrity");
    assert.equal((await make(tab, PAIR, SMALL)).manifest, manifest);
    assert.notDeepEqual(askedFor("/gguf/q4_k.gguf"), [], "it was fetched again");
  });
});

/** Imports in the page; returns the manifest and the first progress report. */
function make(tab: Tab, source: GgufSource | SafetensorsSource, options: ImportOptions = {}): Promise<Imported & { firstLoaded: number }> {
  return tab.run(makeInPage, { source, options });
}

async function makeInPage({ source, options }: { source: unknown; options?: ImportOptions }): Promise<Imported & { firstLoaded: number }> {
  const { importModel } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
  let firstLoaded = -1;
  const made = await importModel(source as never, {
    ...(options ? { import: options } : {}),
    onProgress: (report) => {
      if (report.kind === "progress" && report.stage === "import" && firstLoaded < 0) firstLoaded = report.loaded;
    },
  });
  const cache = await caches.open("ocelli-packages-v1");
  const manifest = await ((await cache.match(`${made.packageUrl}model.json`)) as Response).text();
  return { ...made, manifest, firstLoaded };
}

/** Begins an import, and ends its worker or the whole page after this many reports of progress. Returns when no request is under way. */
async function interrupt(tab: Tab, site: Site, reports: number, byLeaving: boolean, options: ImportOptions = SMALL): Promise<void> {
  // The import waits for the server after each report, and so cannot end before it is interrupted.
  site.delayMs = 30;
  await beginAndEnd(tab, reports, byLeaving, options);
  while (site.open > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  site.delayMs = 0;
}

async function beginAndEnd(tab: Tab, reports: number, byLeaving: boolean, options: ImportOptions): Promise<void> {
  await tab.run(
    async ({ pair, options, reports, byLeaving }) => {
      const { importModel } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
      const stop = new AbortController();
      let seen = 0;
      const made = importModel(pair, {
        import: options,
        signal: stop.signal,
        onProgress: () => {
          if (seen++ < reports) return;
          Object.assign(window, { reached: true });
          if (!byLeaving) stop.abort();
        },
      }).catch(() => undefined);
      // It may have ended before.
      void made.then(() => Object.assign(window, { reached: true }));
      if (!byLeaving) await made;
    },
    { pair: PAIR, options, reports, byLeaving },
  );
  if (!byLeaving) return;
  await until(tab, "the import is under way", () => "reached" in window);
  const url = await tab.run(() => location.href);
  await tab.goto(url);
}

/** The error of an import. */
function failure(tab: Tab, options: ImportOptions): Promise<ErrorData> {
  return tab.run(
    async ({ pair, options }) => {
      const { importModel } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
      return importModel(pair, { import: options }).then(
        () => ({ code: "internal" as const, message: "it did not fail", detail: null }),
        (thrown: unknown) => {
          const { code, message, detail } = thrown as ErrorData;
          return { code, message, detail };
        },
      );
    },
    { pair: PAIR, options },
  );
}

/** Hash and size of a file of the fixtures. */
function pinOf(name: string): { sha256: string; bytes: number } {
  const file = readFileSync(`${fixtures}/${name}`);
  return { sha256: createHash("sha256").update(file).digest("hex"), bytes: file.length };
}

function listInterrupted(tab: Tab): Promise<{ url: string; loaded: number; total: number; source: object }[]> {
  return tab.run(async () => {
    const { interruptedImports } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
    return interruptedImports();
  });
}

async function forget(tab: Tab, packageUrl: string): Promise<void> {
  const found = await tab.run(async (url) => {
    const { packages } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
    return packages.delete(url);
  }, packageUrl);
  assert.ok(found);
}

/** Random numbers in 0..1 by a seed (mulberry32). */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
