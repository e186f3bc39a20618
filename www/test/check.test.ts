/** `Engine.check()`: finds out before a download which models a device can run. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { CheckOptions, DeviceCheck, DeviceReport, RegisteredModel } from "../src/index.js";
import { checkModels } from "../src/api/check.js";
import { atCommit, known, pinsOf, registry, sourceOf } from "../src/api/registry.js";
import { wireSource } from "../src/import/model-source.js";
import models from "../src/api/models.json" with { type: "json" };
import { inBrowsers, type Tab } from "./driver.js";
import { startSite, type Site } from "./site.js";

/** Memory of a page for models on the processor. */
const PROCESSOR_BYTES = 3.5 * 2 ** 30;

inBrowsers("check", (browser) => {
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

  /** Checks after `change` has modified the page, whose properties are restored afterwards. */
  const check = (options: CheckOptions = {}, change = ""): Promise<DeviceCheck> =>
    tab.run(
      async ({ options, change }) => {
        const { Engine } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
        const undo: (() => void)[] = [];
        const set = (object: object, name: string, value: unknown) => {
          const own = Object.getOwnPropertyDescriptor(object, name);
          Object.defineProperty(object, name, { value, configurable: true });
          undo.push(() => (own ? Object.defineProperty(object, name, own) : Reflect.deleteProperty(object, name)));
        };
        new Function("set", change)(set);
        try {
          // Firefox serialises objects that models share only once.
          return JSON.parse(JSON.stringify(await Engine.check(options))) as DeviceCheck;
        } finally {
          for (const back of undo) back();
        }
      },
      { options, change },
    );
  /** Codes without the one that follows from the headers of the site. */
  const codes = ({ reasons }: { reasons: { code: string; isFatal: boolean }[] }) =>
    reasons.filter(({ code }) => code !== "no-threads").map(({ code, isFatal }) => [code, isFatal]);

  test("the device is the one that models are loaded on, and an emulated GPU is reported as such", async () => {
    site.requests.clear();
    const checked = await check();
    assert.deepEqual(
      [...site.requests.keys()].filter((path) => path !== "/ocelli/index.js" && path !== "/favicon.ico"),
      [],
      "nothing is downloaded",
    );
    const [gpu, taken] = await tab.run(async () => {
      const { Engine } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
      const devices = [];
      for (const device of ["gpu", "auto"] as const) {
        const engine = await Engine.load("/packages/untied-q4_0/", { device });
        engine.unload();
        devices.push(engine.device);
      }
      return devices as [DeviceReport, DeviceReport];
    });
    assert.deepEqual([checked.isUsable, checked.device?.isSoftware], [true, gpu.class !== "hardware"]);
    assert.equal(checked.device?.limits.maxBufferSize, gpu.maxBufferSize);
    assert.equal(checked.device?.limits.maxStorageBufferBindingSize, gpu.maxStorageBufferBindingSize);
    assert.deepEqual([codes(checked), checked.runsOn, taken.class], [[["software-device", false]], "processor", "processor"]);
    if (browser().name === "Chromium") assert.match(checked.device?.name ?? "", /swiftshader/i);
    for (const { fits, model, tokensPerSecond } of checked.models) {
      assert.equal(fits, !model.isGated && model.gpuMemory.least <= PROCESSOR_BYTES, model.id);
      assert.ok((tokensPerSecond ?? 0) > 0, model.id);
    }
    const forced = await check({ device: "gpu" });
    assert.deepEqual([codes(forced), forced.runsOn], [[["software-device", false]], "gpu"]);
    for (const { fits, model, tokensPerSecond } of forced.models) assert.deepEqual([fits, tokensPerSecond], [!model.isGated, null]);
    const onCpu = await check({ device: "cpu" });
    assert.deepEqual([codes(onCpu), onCpu.runsOn], [[], "processor"]);
  });

  test("a page that is not isolated is told of the threads that it could have", async () => {
    const four = "set(navigator, 'hardwareConcurrency', 4);";
    const apart = await check({ device: "cpu" }, four);
    const told = apart.reasons.find(({ code }) => code === "no-threads");
    assert.deepEqual([apart.threads, told?.isFatal, told?.detail], [1, false, { used: 1, possible: 4 }]);
    const isolated = await check(
      { device: "cpu" },
      `${four} set(globalThis, 'crossOriginIsolated', true); globalThis.SharedArrayBuffer ??= class {};`,
    );
    // Helpers are not started in Firefox.
    const threads = browser().name === "Firefox" ? 1 : 4;
    assert.deepEqual([isolated.threads, isolated.reasons.length], [threads, threads > 1 ? 0 : 1]);
    const speed = ({ models }: DeviceCheck) => models[0]?.tokensPerSecond ?? 0;
    assert.equal(speed(isolated), threads * speed(apart));
    assert.equal((await check({ device: "gpu" }, four)).threads, null);
  });

  test("a GPU that is not emulated is used", async () => {
    const hardware = `
      const { gpu } = navigator;
      set(navigator, "gpu", { requestAdapter: async () => ({ info: { vendor: "nvidia" }, limits: (await gpu.requestAdapter({})).limits }) });`;
    const checked = await check({}, hardware);
    assert.deepEqual([checked.reasons, checked.runsOn, checked.device?.isSoftware], [[], "gpu", false]);
    const open = checked.models.filter(({ model }) => !model.isGated);
    for (const { fits, alternatives, tokensPerSecond } of open) assert.deepEqual([fits, alternatives, tokensPerSecond], [true, [], null]);
  });

  test("a budget rules out models that need more, with the numbers and models that would fit", async () => {
    const { models } = await check({ gpuMemoryBudget: 6e9, device: "gpu" });
    const bySize = [...models].sort((one, other) => other.model.packageBytes - one.model.packageBytes);
    // A model that answers nothing is no alternative.
    const answering = bySize.filter(({ fits, model }) => fits && !model.goodAt.includes("search"));
    const fitting = answering.map(({ model }) => model.id);
    assert.ok(fitting.length > 0 && fitting.length < models.length - 1, fitting.join());
    for (const { fits, reasons, gpuMemory, alternatives, model } of models) {
      assert.equal(fits, !model.isGated && gpuMemory.least <= 6e9, model.id);
      // Per-layer embeddings, half of these models, take no graphics memory.
      const ofWeights = model.id.startsWith("gemma-4-") ? model.packageBytes / 2 : model.packageBytes;
      assert.ok(gpuMemory.least < gpuMemory.all && gpuMemory.all > ofWeights, model.id);
      if (fits) continue;
      assert.deepEqual(reasons[0], {
        ...reasons[0],
        code: "budget-too-small",
        isFatal: true,
        detail: { budget: 6e9, needed: gpuMemory.least },
      });
      assert.deepEqual(alternatives, fitting, "the largest first");
    }
  });

  test("without WebGPU the reason is reported, and models that fit a page's memory run on the processor", async () => {
    const blocked = "set(navigator, 'gpu', { requestAdapter: async () => null });";
    const noWebgl = "set(OffscreenCanvas.prototype, 'getContext', () => null);";
    const webgl = `set(OffscreenCanvas.prototype, "getContext", () => ({
      getExtension: (name) => (name === "WEBGL_debug_renderer_info" ? { UNMASKED_RENDERER_WEBGL: 1 } : null), getParameter: () => "ANGLE (Some GPU 9000)" }));`;
    for (const [change, code] of [
      ["set(globalThis, 'isSecureContext', false);", "insecure-context"],
      ["set(navigator, 'gpu', undefined);", "no-webgpu"],
      [blocked + noWebgl, "no-adapter"],
      [blocked + webgl, "adapter-blocked"],
      [`set(navigator, 'gpu', { requestAdapter: () => Promise.reject(new Error("lost")) });${noWebgl}`, "no-adapter"],
      ["set(globalThis, 'Worker', undefined);", "no-worker"],
    ] as const) {
      const checked = await check({}, change);
      const isFatal = code === "no-worker";
      assert.deepEqual(
        [checked.isUsable, checked.device, checked.runsOn, codes(checked)],
        [!isFatal, null, "processor", [[code, isFatal]]],
        change,
      );
      assert.equal((await check({ device: "gpu" }, change)).isUsable, false, change);
      for (const { model, fits, reasons } of checked.models) {
        assert.equal(fits, !isFatal && model.gpuMemory.least <= PROCESSOR_BYTES, model.id);
        assert.ok(
          reasons.some((reason) => reason.code === code),
          model.id,
        );
        if (!fits && !isFatal) assert.equal(reasons[0]?.code, "processor-memory", model.id);
      }
    }
  });

  test("limits, memory and storage that are too small are reported", async () => {
    const short = `const { gpu } = navigator;
      set(navigator, "gpu", { requestAdapter: async () => {
        const { info, limits } = await gpu.requestAdapter({});
        const all = {};
        for (const name in limits) all[name] = limits[name];
        return { info, limits: { ...all, maxStorageBuffersPerShaderStage: 4 } };
      } });`;
    const limited = await check({}, short);
    assert.deepEqual(codes(limited)[0], ["limits-too-small", false]);
    assert.deepEqual(limited.reasons[0]?.detail, { limit: "maxStorageBuffersPerShaderStage", needed: 8, available: 4 });
    const full = await check(
      { device: "gpu" },
      "set(navigator.storage, 'estimate', async () => ({ quota: 5e9, usage: 1e9 })); set(navigator, 'deviceMemory', 4);",
    );
    assert.equal(full.freeBytes, 4e9);
    for (const { model, fits, reasons, storageBytes, gpuMemory } of full.models) {
      assert.equal(fits, !model.isGated, "neither is certain");
      const told = reasons.map(({ code }) => code);
      assert.equal(told.includes("storage-full"), storageBytes > 4e9, model.id);
      assert.equal(told.includes("little-memory"), gpuMemory.least > 2 ** 32, model.id);
    }
  });

  test("a completely stored model needs no download, except with other import options", async () => {
    const source = { gguf: "/gguf/q4_k.gguf", mmproj: "/gguf/mmproj.gguf" };
    const [packageUrl, model] = await tab.run(async (source) => {
      const { importModel, registry } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
      return [(await importModel(source)).packageUrl, { ...registry[0], downloadBytes: null, source }];
    }, source);
    const models = [model] as RegisteredModel[];
    const facts = async (options: CheckOptions, change = "") => {
      const [checked] = (await check({ ...options, models }, change)).models;
      return [
        checked?.isStored,
        checked?.downloadBytes,
        checked?.storageBytes === 0,
        checked?.loadSeconds.first === checked?.loadSeconds.later,
      ];
    };
    assert.deepEqual(await facts({}), [true, 0, true, true]);
    assert.deepEqual(await facts({ import: { layout: "compact" } }), [false, null, false, false]);
    await tab.run(async (url) => {
      const { packages } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
      await packages.delete(url);
    }, packageUrl);
    assert.deepEqual(await facts({}), [false, null, false, false]);
  });

  test("the time to load follows from the rest of the download and the network", async () => {
    const [slow, fast] = [await check({ bytesPerSecond: 1e6 }), await check({ bytesPerSecond: 1e9 })];
    for (const [index, { model, downloadBytes, loadSeconds }] of slow.models.entries()) {
      assert.ok(loadSeconds.later > 0);
      if (downloadBytes === null) assert.equal(loadSeconds.first, null);
      else
        assert.ok(
          (loadSeconds.first ?? 0) >= downloadBytes / 1e6 && (loadSeconds.first ?? 0) > (fast.models[index]?.loadSeconds.first ?? 0),
          model.id,
        );
    }
    await tab.run(async () => {
      const { registry } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
      const description = { source: registry.find(({ downloadBytes }) => downloadBytes !== null)?.source, options: {} };
      const head = { description, versions: {}, loaded: 750, total: 1000 };
      const cache = await caches.open("ocelli-packages-v1");
      await cache.put(`${location.origin}/ocelli-imported/begun/import-checkpoint`, new Response(`${JSON.stringify(head)}\n{}`));
    });
    const at = slow.models.findIndex(({ downloadBytes }) => downloadBytes !== null);
    const begun = (await check({ bytesPerSecond: 1e6 })).models[at];
    assert.equal(begun?.downloadBytes, (slow.models[at]?.downloadBytes ?? 0) / 4);
    assert.equal(begun?.storageBytes, (slow.models[at]?.storageBytes ?? 0) / 4);
  });
});

test("the id of a known model means its source, and any other text an address", () => {
  assert.equal(known("smolvlm2-256m"), registry[0]);
  assert.equal(sourceOf("smolvlm2-256m"), registry[0]?.source);
  for (const address of ["./smolvlm2-256m", "models/demo/", "https://host/smolvlm2-256m"]) assert.equal(sourceOf(address), address);
});

test("a model that is given on request only is not offered in a page", async () => {
  const { models } = await checkModels({ device: "cpu" });
  const gated = models.filter(({ model }) => model.isGated);
  assert.ok(gated.length > 0);
  for (const { fits, reasons } of gated) assert.deepEqual([fits, reasons.some(({ code }) => code === "gated")], [false, true]);
});

test("sizes of downloads are those of the pinned files, and those that nobody could read are called estimates", () => {
  for (const { id, downloadBytes, packageBytes, gpuMemory, estimates = [], files = {} } of models as readonly (RegisteredModel & {
    files?: Record<string, { bytes: number }>;
  })[]) {
    const pinned = Object.values(files).reduce((sum, { bytes }) => sum + bytes, 0);
    assert.ok(pinned === 0 || (pinned === downloadBytes && !estimates.includes("downloadBytes")), id);
    assert.ok((downloadBytes ?? 0) > 0 && packageBytes > 0 && gpuMemory.least > 0, id);
  }
});

test("the pins of a known model are found by its source", async () => {
  const pinned = registry.filter(({ files }) => files);
  assert.ok(pinned.length > 5);
  for (const { id, source, files } of pinned) {
    const wire = await wireSource(source);
    assert.deepEqual(wire && (await pinsOf(wire)), files, id);
  }
  const other = await wireSource({ gguf: "https://host.example/model.gguf" });
  assert.equal(other && (await pinsOf(other)), undefined);
});

test("a known model with a commit is loaded from that commit", () => {
  const folder = "https://huggingface.co/owner/name/resolve";
  const source = { gguf: `${folder}/main/model.gguf`, mmproj: `${folder}/main/mmproj.gguf` };
  const model = { ...(registry[0] as RegisteredModel), source, commit: "0123abcd" };
  assert.deepEqual(atCommit(model).source, { gguf: `${folder}/0123abcd/model.gguf`, mmproj: `${folder}/0123abcd/mmproj.gguf` });
});
