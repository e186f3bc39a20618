/** A GPU device is lost, or runs out of memory, during an answer: the answer continues unchanged. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { ChatCompletionRequest, ChatEvent, Engine, ErrorData } from "../src/index.js";
import { inBrowsers, type Tab } from "./driver.js";
import { startSite, type Site } from "./site.js";

/** Controls the GPU devices of the worker. */
interface Losing {
  /** Submissions of work so far, on devices that were not lost. */
  count(): Promise<number>;
  /** Destroys the device at these submissions. */
  at(submissions: number[]): Promise<void>;
  /** Makes the next `allocations` fail with out-of-memory. */
  memory(allocations: number): Promise<void>;
}

interface Said {
  pieces: string[];
  recovering: { attempt: number; reason: string }[];
  /** Classes of devices that replaced the GPU. */
  replaced: string[];
  error: ErrorData | null;
}

/** State of the tests in the page. */
interface Kept {
  engine: Engine;
  losing: Losing;
  /** The engine that `ask` asks. */
  use(engine: Engine): void;
  ask(question: string, picture?: string, tokens?: number, format?: ChatCompletionRequest["response_format"]): Promise<Said>;
}

/** Runs before the package's worker: counts the submissions of its devices, destroys devices, and makes allocations fail. */
const WORKER = `
  let submissions = 0;
  let orders = { losses: [], memory: 0 };
  const devices = new WeakMap();
  const request = GPUAdapter.prototype.requestDevice;
  GPUAdapter.prototype.requestDevice = async function (...descriptor) {
    const device = await request.apply(this, descriptor);
    devices.set(device.queue, device);
    return device;
  };
  const submit = GPUQueue.prototype.submit;
  GPUQueue.prototype.submit = function (buffers) {
    const device = devices.get(this);
    // Empty ones only make Firefox look for finished work, and those on a lost device are in vain.
    if (device && buffers.length > 0 && orders.losses.includes(submissions++)) {
      devices.delete(this);
      device.destroy();
    }
    return submit.call(this, buffers);
  };
  const { pushErrorScope, popErrorScope } = GPUDevice.prototype;
  const scopes = [];
  GPUDevice.prototype.pushErrorScope = function (filter) {
    scopes.push(filter);
    return pushErrorScope.call(this, filter);
  };
  GPUDevice.prototype.popErrorScope = async function () {
    const fails = scopes.pop() === "out-of-memory" && orders.memory-- > 0;
    const error = await popErrorScope.call(this);
    return fails ? new GPUOutOfMemoryError("on order") : error;
  };
  new BroadcastChannel("orders").onmessage = ({ data }) => {
    orders = data;
    new BroadcastChannel("submissions").postMessage(submissions);
  };
`;
/** Makes the emulated GPU look like one of hardware. */
const HARDWARE = `
  for (const name of ["vendor", "architecture", "device", "description"])
    Object.defineProperty(GPUAdapterInfo.prototype, name, { get: () => (name === "vendor" ? "nvidia" : "") });
  Object.defineProperty(GPUAdapterInfo.prototype, "isFallbackAdapter", { get: () => false });
`;
const FILES = {
  "/test/hardware.js": HARDWARE,
  "/test/replaceable.js": 'import "./hardware.js";\nimport "./losing.js";\nimport "/ocelli/worker.js";\n',
  "/test/losing.js": WORKER,
  "/test/worker.js": 'import "./losing.js";\nimport "/ocelli/worker.js";\n',
};

inBrowsers("recovery", (browser) => {
  let site: Site;
  let tab: Tab;
  before(async () => {
    site = await startSite();
    for (const [path, text] of Object.entries(FILES)) site.replaced.set(path, new TextEncoder().encode(text));
    tab = await browser().newTab();
    await tab.goto(`${site.url}test/blank.html`);
    await tab.run(async () => {
      const { Engine } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
      const [orders, answers] = [new BroadcastChannel("orders"), new BroadcastChannel("submissions")];
      const order = (losses: number[], memory: number) =>
        new Promise<number>((resolve) => {
          answers.onmessage = ({ data }: MessageEvent<number>) => resolve(data);
          orders.postMessage({ losses, memory });
        });
      const losing: Losing = {
        count: () => order([], 0),
        at: async (losses) => void (await order(losses, 0)),
        memory: async (allocations) => void (await order([], allocations)),
      };
      const worker = new Worker("/test/worker.js", { type: "module" });
      const engine = await Engine.load("/packages/tied_two_images-q8_0/", { worker, device: "gpu", context: 512 });
      let asked = engine;
      const ask: Kept["ask"] = async (question, picture, tokens = 8, format = { type: "text" }) => {
        const text = { type: "text" as const, text: question };
        const content = picture ? [{ type: "image_url" as const, image_url: { url: picture } }, text] : [text];
        const request: ChatCompletionRequest & { stream: true } = {
          messages: [{ role: "user", content }],
          temperature: 0,
          max_tokens: tokens,
          response_format: format,
          stream: true,
        };
        const said: Said = { pieces: [], recovering: [], replaced: [], error: null };
        try {
          const onProgress = (event: ChatEvent) => {
            if (event.kind === "recovering") said.recovering.push(event);
            if (event.kind === "processor") said.replaced.push(event.device.class);
          };
          for await (const chunk of await asked.chat.completions.create(request, { onProgress })) {
            const piece = chunk.choices[0]?.delta.content;
            if (piece) said.pieces.push(piece);
          }
        } catch (thrown) {
          const { code, message, detail } = thrown as ErrorData;
          said.error = { code, message, detail };
        }
        return said;
      };
      const use: Kept["use"] = (other) => {
        asked = other;
      };
      Object.assign(window, { engine, losing, use, ask });
    });
  });
  after(async () => {
    await tab?.close();
    await site?.stop();
  });

  test("kernels are tested on the device", async () => {
    const selfTest = await tab.run(() => (window as unknown as Kept).engine.device.selfTest);
    assert.ok(selfTest.passed > 10 && selfTest.failed.length === 0, JSON.stringify(selfTest));
    console.log(`self-test: ${selfTest.passed} kernels, ${selfTest.ms.toFixed(0)} ms`);
  });

  test("a device lost in the tower, in the prompt or in the answer does not change the answer", async () => {
    const { heard, submissions } = await tab.run(async () => {
      const { losing, ask } = window as unknown as Kept;
      // Another request in between empties the cache of the first; each question has another picture, so that the vision tower runs.
      const forget = () => ask("one two three", undefined, 1);
      const scene = (index: number) => `/models/demo/gallery/scene-0${index}.png`;
      await forget();
      const start = await losing.count();
      await ask("What is this?", scene(1));
      const submissions = (await losing.count()) - start;
      const heard: { step: number; said: Said; whole: Said }[] = [];
      for (const [index, step] of [0, submissions >> 1, submissions - 3].entries()) {
        await forget();
        await losing.at([(await losing.count()) + step]);
        const said = await ask("What is this?", scene(index + 2));
        await forget();
        heard.push({ step, said, whole: await ask("What is this?", scene(index + 2)) });
      }
      return { heard, submissions };
    });
    assert.ok(submissions > 8, `${submissions} submissions`);
    for (const { step, said, whole } of heard) {
      assert.ok(whole.pieces.length > 0 && whole.error === null && whole.recovering.length === 0, JSON.stringify(whole));
      assert.deepEqual(said.pieces, whole.pieces, `lost at ${step} of ${submissions}: ${JSON.stringify(said)}`);
      assert.deepEqual(
        said.recovering.map(({ attempt }) => attempt),
        [1],
        `lost at ${step}`,
      );
      assert.match(said.recovering[0]?.reason ?? "", /\w/);
    }
  });

  test("a device lost in an answer with a format does not change the answer", async () => {
    const heard = await tab.run(async () => {
      const { losing, ask } = window as unknown as Kept;
      const schema = { type: "object", properties: { colour: { enum: ["red", "green"] }, words: { type: "string", maxLength: 12 } } };
      const format = { type: "json_schema" as const, json_schema: { name: "a", schema: { ...schema, required: ["colour", "words"] } } };
      const asked = () => ask("What colour is it?", "/models/demo/gallery/scene-01.png", 80, format);
      const forget = () => ask("one two three", undefined, 1);
      const heard = [await asked()];
      await forget();
      const start = await losing.count();
      await asked();
      const submissions = (await losing.count()) - start;
      for (const step of [submissions >> 1, submissions - 4]) {
        await forget();
        await losing.at([(await losing.count()) + step]);
        heard.push(await asked());
      }
      return heard;
    });
    const [whole, ...others] = heard;
    assert.match(whole?.pieces.join("") ?? "", /^\{"colour": "(red|green)", "words": "/, JSON.stringify(whole));
    for (const said of others) {
      assert.deepEqual(said.pieces.join(""), whole?.pieces.join(""), JSON.stringify(said));
      assert.equal(said.recovering.length, 1);
    }
  });

  test("an answer fails after three losses, and the next question is answered", async () => {
    const { lost, again, whole } = await tab.run(async () => {
      const { losing, ask } = window as unknown as Kept;
      const whole = await ask("Who are you?");
      await ask("one two three", undefined, 1);
      const start = await losing.count();
      await losing.at([start + 1, start + 3, start + 5]);
      const lost = await ask("Who are you?");
      await losing.at([]);
      return { lost, again: await ask("Who are you?"), whole };
    });
    assert.equal(lost.error?.code, "device-lost");
    assert.deepEqual(
      lost.recovering.map(({ attempt }) => attempt),
      [1, 2],
    );
    assert.equal(whole.error, null);
    assert.deepEqual(again.pieces, whole.pieces);
  });

  test("memory that runs out once has no effect, and otherwise is reported with numbers", async () => {
    const { once, always, whole } = await tab.run(async () => {
      const { losing, ask } = window as unknown as Kept;
      await ask("one two three", undefined, 1);
      await losing.memory(1);
      const once = await ask("Who are you?");
      await ask("one two three", undefined, 1);
      await losing.memory(1e6);
      const always = await ask("Who are you?");
      await losing.memory(0);
      return { once, always, whole: await ask("Who are you?") };
    });
    assert.ok(whole.pieces.length > 0 && whole.error === null);
    assert.deepEqual(once, whole);
    assert.equal(always.error?.code, "out-of-memory");
    const { what, purpose, bytes, in_use } = always.error?.detail ?? {};
    assert.ok(what && purpose && Number(bytes) > 0 && Number(in_use) > 0, JSON.stringify(always.error));
  });

  test("a GPU of an automatic choice that is lost three times is replaced by the processor", async () => {
    const { said, again, whole, device } = await tab.run(async () => {
      const { engine, losing, use, ask } = window as unknown as Kept;
      const { Engine } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
      const whole = await ask("Who are you?");
      engine.unload();
      const worker = new Worker("/test/replaceable.js", { type: "module" });
      const other = await Engine.load("/packages/tied_two_images-q8_0/", { worker, context: 512, kvPrecision: "f32", tune: "never" });
      use(other);
      await ask("one two three", undefined, 1);
      const start = await losing.count();
      await losing.at([start + 1, start + 3, start + 5]);
      const said = await ask("Who are you?");
      await losing.at([]);
      return { said, again: await ask("Who are you?"), whole, device: other.device };
    });
    assert.deepEqual(said.error, null);
    assert.deepEqual([said.recovering.map(({ attempt }) => attempt), said.replaced], [[1, 2], ["processor"]]);
    assert.deepEqual([said.pieces, again.pieces], [whole.pieces, whole.pieces]);
    assert.deepEqual([again.recovering, again.replaced], [[], []]);
    assert.equal(device.class, "processor");
    assert.match(device.reason ?? "", /lost/);
  });
});
