/** Memory does not grow with the number of requests, in a page and in a server. `OCELLI_REQUESTS=2000` sends more of them. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import type { Engine } from "../src/index.js";
import { addScript } from "./client-page.js";
import { inBrowsers, type Tab } from "./driver.js";
import { sendMany } from "./many-requests.js";
import { startServer } from "./model-server.js";
import { greyPng } from "./pictures.js";
import { startSite, type Site } from "./site.js";

const REQUESTS = Number(process.env["OCELLI_REQUESTS"] ?? 36);
/** More pictures than the engine caches features of. */
const PICTURES = Array.from({ length: 24 }, (_, index) => dataUrl(greyPng(56, 56, 10 * index)));
/** Allowed growth after the first part: noise of garbage collectors and allocators. */
const [MOST_JS, MOST_RESIDENT] = [2e6, 8e6];

/** In bytes. */
interface Sample {
  wasm: number;
  /** Bytes of all GPU buffers. */
  gpu: number;
  /** JavaScript and wasm of the page and its worker; `null` if the browser does not report it. */
  page: number | null;
}

function dataUrl(bytes: Uint8Array): string {
  return `data:image/png;base64,${Buffer.from(bytes).toString("base64")}`;
}

/** Numbers of requests after which memory is measured. Before the first, every kind occurs twice, so that all shaders are compiled. */
const first = Math.max(18, REQUESTS / 4);
const parts = [0, 1, 2, 3].map((part) => Math.round(first + (part / 3) * (REQUESTS - first)));

inBrowsers("endurance", (browser) => {
  let site: Site;
  let tab: Tab;
  before(async () => {
    site = await startSite();
    // Only an isolated page can measure its memory.
    site.headers = { "cross-origin-opener-policy": "same-origin", "cross-origin-embedder-policy": "require-corp" };
    await addScript(site, "/test/many.js", { file: "test/many-requests.ts" });
    tab = await browser().newTab();
    await tab.goto(`${site.url}test/blank.html`);
    await tab.run(async () => {
      const { Engine } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
      Object.assign(window, { engine: await Engine.load("/models/demo/", { device: "gpu" }) });
    });
  });
  after(async () => {
    await tab?.close();
    await site?.stop();
  });

  const sample = (): Promise<Sample> =>
    tab.run(async () => {
      const { engine } = window as unknown as { engine: Engine };
      // Cached features of earlier pictures do not count.
      await engine.preallocate({ width: 28, height: 28 });
      await engine.chat.completions.create({ messages: [{ role: "user", content: "Hello" }], max_tokens: 3 });
      const { wasmBytes, purposes } = await engine.memoryNow();
      const { performance } = window as unknown as { performance: { measureUserAgentSpecificMemory?: () => Promise<{ bytes: number }> } };
      const page = crossOriginIsolated ? ((await performance.measureUserAgentSpecificMemory?.())?.bytes ?? null) : null;
      return { wasm: wasmBytes, gpu: purposes.reduce((sum, { current }) => sum + current, 0), page };
    });

  test(`memory does not grow with ${REQUESTS} requests to one page`, async () => {
    const samples: Sample[] = [];
    for (const [index, to] of parts.entries()) {
      const faults = await tab.run(
        async ({ from, to, pictures }) => {
          const { sendMany } = (await import("/test/many.js" as string)) as typeof import("./many-requests.js");
          return sendMany((window as unknown as { engine: Engine }).engine.fetch, from, to, pictures);
        },
        { from: parts[index - 1] ?? 0, to, pictures: PICTURES },
      );
      assert.deepEqual(faults, []);
      samples.push(await sample());
    }
    console.log(`endurance, ${browser().name}: ${JSON.stringify(samples)}`);
    const [first, ...later] = samples as [Sample, ...Sample[]];
    for (const { wasm, gpu, page } of later) {
      assert.ok(wasm === first.wasm && gpu <= first.gpu, JSON.stringify(samples));
      if (page !== null && first.page !== null) assert.ok(page - first.page < MOST_JS, JSON.stringify(samples));
    }
    if (browser().name === "Chromium") assert.ok(first.page, "the browser tells");
  });

  test(`memory does not grow with ${REQUESTS} requests to one server`, async (context) => {
    if (browser().name !== "Chromium") return context.skip("no browser takes part");
    const server = await startServer();
    try {
      const resident = () => 1024 * Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${server.pid}/status`, "utf8"))?.[1]);
      const send = (path: string, init: RequestInit) => fetch(new URL(path, server.baseURL), { ...init, headers: server.headers });
      const samples: number[] = [];
      for (const [index, to] of parts.entries()) {
        assert.deepEqual(await sendMany(send, parts[index - 1] ?? 0, to, PICTURES), []);
        samples.push(resident());
      }
      console.log(`endurance, server: ${samples.join()} bytes`);
      for (const bytes of samples.slice(1)) assert.ok(bytes - (samples[0] ?? 0) < MOST_RESIDENT, samples.join());
    } finally {
      server.stop();
    }
  });
});
