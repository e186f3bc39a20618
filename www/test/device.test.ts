/** The device that a model runs on, by what the browser offers. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { DeviceChoice, DeviceReport, LoadReport, OcelliError } from "../src/index.js";
import { inBrowsers, type Tab } from "./driver.js";
import { startSite, type Site } from "./site.js";

/** Things that the worker of a page finds, each as a script that runs before the package's own. */
const FOUND = {
  "/test/as-it-is.js": "",
  "/test/hardware.js": `
    for (const name of ["vendor", "architecture", "device", "description"])
      Object.defineProperty(GPUAdapterInfo.prototype, name, { get: () => (name === "vendor" ? "nvidia" : "") });
    Object.defineProperty(GPUAdapterInfo.prototype, "isFallbackAdapter", { get: () => false });`,
  "/test/refused.js": `
    Object.defineProperty(GPUAdapterInfo.prototype, "isFallbackAdapter", { get: () => false });
    for (const name of ["vendor", "architecture", "device", "description"])
      Object.defineProperty(GPUAdapterInfo.prototype, name, { get: () => "" });
    GPUAdapter.prototype.requestDevice = () => Promise.reject(new DOMException("refused on order", "OperationError"));`,
  "/test/no-adapter.js": "GPU.prototype.requestAdapter = async () => null;",
  "/test/no-webgpu.js": "delete WorkerNavigator.prototype.gpu;",
};

inBrowsers("device", (browser) => {
  let site: Site;
  let tab: Tab;
  before(async () => {
    site = await startSite();
    for (const [path, text] of Object.entries(FOUND)) {
      site.replaced.set(path, new TextEncoder().encode(text));
      site.replaced.set(`${path}-worker.js`, new TextEncoder().encode(`import "${path}";\nimport "/ocelli/worker.js";\n`));
    }
    tab = await browser().newTab();
    await tab.goto(`${site.url}test/blank.html`);
  });
  after(async () => {
    await tab?.close();
    await site?.stop();
  });

  /** Loads a model: its device with the warnings, or the code of the error. */
  const load = (found: keyof typeof FOUND, device?: DeviceChoice): Promise<{ device: DeviceReport; warnings: string[] } | string> =>
    tab.run(
      async ({ url, device }) => {
        const { Engine } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
        const warnings: string[] = [];
        const onProgress = (report: LoadReport) => void (report.kind === "warning" && warnings.push(report.code));
        const options = { worker: new Worker(url, { type: "module" }), onProgress, ...(device && { device }) };
        try {
          const engine = await Engine.load("/packages/untied-q4_0/", options);
          engine.unload();
          return { device: engine.device, warnings };
        } catch (thrown) {
          return (thrown as OcelliError).code;
        }
      },
      { url: `${found}-worker.js`, device },
    );
  const loaded = async (found: keyof typeof FOUND, device?: DeviceChoice) => {
    const result = await load(found, device);
    assert.ok(typeof result !== "string", `${found}: ${String(result)}`);
    return result;
  };

  for (const [found, reason, warnings] of [
    ["/test/as-it-is.js", /emulated by the processor/, []],
    ["/test/no-adapter.js", /offers no GPU/, []],
    ["/test/no-webgpu.js", /no WebGPU here/, []],
    ["/test/refused.js", /the GPU cannot be used.*refused on order/, ["gpu-not-used"]],
  ] as const) {
    test(`the processor is taken, and the reason told: ${found}`, async () => {
      const { device, warnings: told } = await loaded(found);
      assert.deepEqual([device.class, device.name, told], ["processor", "WebAssembly", warnings]);
      assert.match(device.reason ?? "", reason);
      assert.match(device.driver, /simd128/);
    });
  }

  test("a GPU that is not emulated is taken", async () => {
    const { device, warnings } = await loaded("/test/hardware.js");
    assert.deepEqual([device.class, device.threads, device.reason, warnings], ["hardware", undefined, undefined, []]);
  });

  test("an isolated page computes on several threads, whose number changes no bit", async () => {
    site.headers = { "cross-origin-opener-policy": "same-origin", "cross-origin-embedder-policy": "require-corp" };
    const isolated = await browser().newTab();
    try {
      await isolated.goto(`${site.url}test/blank.html`);
      const found = await isolated.run(async () => {
        const { Engine } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
        const picture = "/models/demo/gallery/scene-01.png";
        const text = { type: "text" as const, text: "What is this?" };
        const content = [{ type: "image_url" as const, image_url: { url: picture } }, text];
        const results: { threads: number | undefined; logits: string; said: string | null | undefined }[] = [];
        for (const threads of [undefined, 1, 2, 3]) {
          const engine = await Engine.load("/models/demo/", { device: "cpu", ...(threads && { threads }) });
          const { logits } = await engine.score({ messages: [{ role: "user", content }] });
          const { choices } = await engine.chat.completions.create({
            messages: [{ role: "user", content }],
            temperature: 0,
            max_tokens: 24,
          });
          const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", Uint8Array.from(new Uint8Array(logits.buffer))));
          engine.unload();
          results.push({ threads: engine.device.threads, logits: `${logits.length} ${digest.join()}`, said: choices[0]?.message.content });
        }
        return { results, cores: navigator.hardwareConcurrency };
      });
      const [first, ...others] = found.results;
      assert.deepEqual(
        found.results.map(({ threads }) => threads),
        // Helpers are not started in Firefox.
        browser().name === "Firefox" ? [1, 1, 1, 1] : [Math.min(found.cores, 8), 1, 2, 3],
      );
      assert.match(first?.said ?? "", /\w+ \w+/);
      for (const { threads, logits, said } of others) assert.deepEqual([logits, said], [first?.logits, first?.said], `${threads} threads`);
      const refused = await isolated.run(async () => {
        const { Engine } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
        const loading = Engine.load("/models/demo/", { device: "cpu", threads: 1.5 });
        return loading.then(
          () => "loaded",
          (thrown: OcelliError) => `${thrown.code} ${String(thrown.detail?.["field"])}`,
        );
      });
      assert.equal(refused, "invalid-request threads");
    } finally {
      site.headers = {};
      await isolated.close();
    }
  });

  test("a device that is asked for is the device, or an error", async () => {
    const { device: emulated } = await loaded("/test/as-it-is.js", "gpu");
    assert.notEqual(emulated.class, "processor");
    const { device: asked } = await loaded("/test/hardware.js", "cpu");
    assert.deepEqual([asked.class, asked.reason], ["processor", undefined]);
    for (const found of ["/test/no-adapter.js", "/test/no-webgpu.js", "/test/refused.js"] as const)
      assert.equal(await load(found, "gpu"), "webgpu-unavailable", found);
  });
});
