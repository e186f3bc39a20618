/** Compilation of shaders: each once, and in parallel with other work. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { inBrowsers, type Tab } from "./driver.js";
import { startSite, type Site } from "./site.js";

/** Created pipelines by the name of the kernel. */
interface Made {
  ahead: string[];
  late: string[];
  /** Names of those that the browser was made to refuse. */
  refused: string[];
}

/** Runs before the package's worker: records the shaders that its devices compile. */
const WORKER = `
  const made = { ahead: [], late: [], refused: [] };
  const refuses = new URLSearchParams(location.search).has("refuses");
  const { createComputePipeline, createComputePipelineAsync } = GPUDevice.prototype;
  GPUDevice.prototype.createComputePipeline = function (descriptor) {
    made.late.push(descriptor.label);
    return createComputePipeline.call(this, descriptor);
  };
  GPUDevice.prototype.createComputePipelineAsync = function (descriptor) {
    made.ahead.push(descriptor.label);
    if (refuses && made.ahead.length % 3 === 0) {
      made.refused.push(descriptor.label);
      return Promise.reject(new DOMException("refused by the test", "OperationError"));
    }
    return createComputePipelineAsync.call(this, descriptor);
  };
  const channel = new BroadcastChannel("made");
  channel.onmessage = () => channel.postMessage(made);
`;
const FILES = { "/test/spying.js": WORKER, "/test/worker.js": 'import "./spying.js";\nimport "/ocelli/worker.js";\n' };

inBrowsers("compiling", (browser) => {
  let site: Site;
  let tab: Tab;
  before(async () => {
    site = await startSite();
    for (const [path, text] of Object.entries(FILES)) site.replaced.set(path, new TextEncoder().encode(text));
    tab = await browser().newTab();
    await tab.goto(`${site.url}test/blank.html`);
  });
  after(async () => {
    await tab?.close();
    await site?.stop();
  });

  test("shaders are compiled once, and never while work waits for them", async () => {
    const { loaded, used, drafts } = await tab.run(async () => {
      const { Engine } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
      const channel = new BroadcastChannel("made");
      const made = () =>
        new Promise<Made>((resolve) => {
          channel.onmessage = ({ data }: MessageEvent<Made>) => resolve(data);
          channel.postMessage(null);
        });
      const worker = new Worker("/test/worker.js", { type: "module" });
      // A third choice for tests, which the types do not have.
      const options = { worker, device: "gpu" as const, context: 512, speculation: "always" as "auto" };
      const engine = await Engine.load("/packages/tied_two_images-q8_0/", options);
      const loaded = await made();
      const ask = async (request: object, ...url: string[]) => {
        const pictures = url.map((url) => ({ type: "image_url" as const, image_url: { url } }));
        const content = [...pictures, { type: "text" as const, text: "one two three one two three one two" }];
        const { usage } = await engine.chat.completions.create({ messages: [{ role: "user", content }], ...request });
        return usage.completion_tokens_details;
      };
      await ask({ max_tokens: 4, top_k: 5, top_p: 0.9, frequency_penalty: 0.5 }, "/models/demo/gallery/scene-01.png");
      const drafts = await ask({ max_tokens: 300, temperature: 0 });
      const used = await made();
      engine.unload();
      return { loaded, used, drafts };
    });
    assert.ok(drafts.accepted_prediction_tokens + drafts.rejected_prediction_tokens > 0, JSON.stringify(drafts));
    assert.ok(loaded.ahead.length > 15, JSON.stringify(loaded));
    assert.ok(used.ahead.length > loaded.ahead.length, "drafts and filters have kernels of their own");
    assert.deepEqual(used.late, []);
    assert.equal(new Set(used.ahead).size, used.ahead.length, JSON.stringify(used.ahead));
  });

  test("pipelines that the browser refuses ahead are made by wgpu, and the model answers the same", async () => {
    const { made, answers } = await tab.run(async () => {
      const { Engine } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
      const channel = new BroadcastChannel("made");
      const answers: string[] = [];
      let made: Made | null = null;
      for (const address of ["/test/worker.js", "/test/worker.js?refuses"]) {
        const worker = new Worker(address, { type: "module" });
        const engine = await Engine.load("/packages/tied_two_images-q8_0/", { worker, device: "gpu", context: 512 });
        const messages = [{ role: "user" as const, content: "one two three" }];
        const answer = await engine.chat.completions.create({ messages, max_tokens: 16, temperature: 0 });
        answers.push(JSON.stringify(answer.choices[0]?.message.content));
        made = await new Promise<Made>((resolve) => {
          channel.onmessage = ({ data }: MessageEvent<Made>) => resolve(data);
          channel.postMessage(null);
        });
        engine.unload();
      }
      return { made, answers };
    });
    assert.ok(made !== null && made.refused.length > 5, JSON.stringify(made));
    assert.deepEqual([...made.late].sort(), [...made.refused].sort());
    assert.equal(answers[1], answers[0]);
  });
});
