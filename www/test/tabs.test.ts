/** One engine for all tabs: requests from each tab succeed when the host tab is closed or killed. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { ChatCompletionRequest, LoadOptions } from "../src/index.js";
import { inBrowsers, until, type Tab } from "./driver.js";
import { startSite, type Site } from "./site.js";

const MODEL = "/packages/untied-q4_0/";
const LONG: ChatCompletionRequest = { messages: [{ role: "user", content: "say much" }], max_tokens: 150, temperature: 0 };

/** Globals of the page. */
interface Shared {
  engine: import("../src/index.js").Engine;
  /** Workers that the page has started. */
  workers: number;
  /** The running answer: its text so far, and its result. */
  text: string;
  chunks: number;
  outcome: string | null;
}

inBrowsers("tabs", (browser) => {
  let site: Site;
  let first: Tab;
  let wanted: string;
  /** GPU memory of an engine for one tab after that answer. */
  let alone: unknown;
  before(async () => {
    site = await startSite();
    first = await browser().newTab();
    await prepare(first);
    await load(first, { share: false });
    await ask(first, LONG);
    wanted = await outcome(first);
    alone = await memory(first);
    await first.run(() => (globalThis as unknown as Shared).engine.unload());
    assert.ok(/^(stop|length): /.test(wanted) && wanted.length > 100, wanted);
  });
  after(async () => {
    await first?.close();
    await site?.stop();
  });

  async function prepare(tab: Tab): Promise<void> {
    await tab.beforeLoad(() => {
      const scope = globalThis as unknown as Shared & { Worker: typeof Worker };
      scope.workers = 0;
      scope.Worker = class extends Worker {
        constructor(url: string | URL, options?: WorkerOptions) {
          super(url, options);
          scope.workers++;
        }
      };
    });
    await tab.goto(`${site.url}test/blank.html`);
  }

  const load = (tab: Tab, options: LoadOptions) =>
    tab.run(
      async ({ model, options }) => {
        const { Engine } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
        // On the processor the answer would be complete before a tab is closed.
        const engine = await Engine.load(model, { device: "gpu", ...options });
        (globalThis as unknown as Shared).engine = engine;
        return engine.memory.purposes.reduce((sum, { current }) => sum + current, 0);
      },
      { model: MODEL, options },
    );

  const memory = (tab: Tab) =>
    tab.run(async () =>
      (await (globalThis as unknown as Shared).engine.memoryNow()).purposes.map(({ purpose, current }) => [purpose, current]),
    );

  /** Begins an answer. */
  const ask = (tab: Tab, request: ChatCompletionRequest) =>
    tab.run((request) => {
      const scope = globalThis as unknown as Shared;
      Object.assign(scope, { text: "", chunks: 0, outcome: null });
      const read = async () => {
        const stream = await scope.engine.chat.completions.create({ ...request, stream: true });
        let reason: string | null = null;
        for await (const { choices } of stream) {
          scope.chunks++;
          scope.text += choices[0]?.delta.content ?? "";
          reason = choices[0]?.finish_reason ?? reason;
        }
        return `${reason}: ${scope.text}`;
      };
      read().then(
        (outcome) => Object.assign(scope, { outcome }),
        (thrown: unknown) => Object.assign(scope, { outcome: String(thrown) }),
      );
    }, request);

  const outcome = async (tab: Tab): Promise<string> => {
    await until(tab, "the answer has ended", () => (globalThis as unknown as Shared).outcome !== null);
    return tab.run(() => (globalThis as unknown as Shared).outcome ?? "");
  };
  const begun = (tab: Tab, chunks: number) =>
    until(tab, `${chunks} chunks have come`, (chunks) => (globalThis as unknown as Shared).chunks >= chunks, chunks);
  const workers = (tabs: Tab[]) => Promise.all(tabs.map((tab) => tab.run(() => (globalThis as unknown as Shared).workers)));

  test("three tabs share one model; after any of them is closed or killed, the answers of the others are complete", async () => {
    const tabs = [await first.another(), await first.another(), await first.another()] as const;
    const [one, two, three] = tabs;
    for (const tab of tabs) await prepare(tab);
    const sizes = [await load(one, { share: true }), ...(await Promise.all([load(two, { share: true }), load(three, { share: true })]))];
    assert.deepEqual(await workers([...tabs]), [1, 0, 0]);
    assert.deepEqual(sizes, [sizes[0], sizes[0], sizes[0]], "one ledger");

    for (const tab of tabs) await ask(tab, LONG);
    await begun(two, 20);
    await one.closeAlone();
    assert.deepEqual([await outcome(two), await outcome(three)], [wanted, wanted]);
    assert.deepEqual((await workers([two, three])).sort(), [0, 1], "one of them has loaded the model");

    const [host, other] = (await workers([two]))[0] === 1 ? [two, three] : [three, two];
    await ask(other, LONG);
    await begun(other, 20);
    await host.kill();
    assert.equal(await outcome(other), wanted);
    assert.deepEqual(await workers([other]), [1]);
    assert.deepEqual(await memory(other), alone, "the ledger of one engine");
    await other.closeAlone();
  });

  test("requests end with their tab; others are answered, with errors and pictures", async () => {
    const [one, two] = [await first.another(), await first.another()];
    for (const tab of [one, two]) {
      await prepare(tab);
      await load(tab, { share: true });
    }
    await ask(two, LONG);
    await begun(two, 5);
    await two.closeAlone();
    await ask(one, LONG);
    assert.equal(await outcome(one), wanted);

    const three = await one.another();
    await prepare(three);
    await load(three, { share: true });
    const told = await three.run(async () => {
      const { engine } = globalThis as unknown as Shared;
      const drawn = new OffscreenCanvas(64, 48);
      drawn.getContext("2d")?.fillRect(8, 8, 16, 16);
      const url = await createImageBitmap(drawn);
      const content = [{ type: "image_url" as const, image_url: { url } }];
      const { usage } = await engine.chat.completions.create({ messages: [{ role: "user", content }], max_tokens: 2, temperature: 0 });
      const code = await engine.chat.completions.create({ messages: [], max_tokens: -1 }).then(
        () => "none",
        (error: { code?: string }) => error.code,
      );
      const controller = new AbortController();
      const stopped = engine.chat.completions.create({ messages: [{ role: "user", content: "much" }] }, { signal: controller.signal }).then(
        () => "whole",
        (thrown: Error) => thrown.name,
      );
      controller.abort();
      const response = await engine.fetch("/v1/models");
      return [usage.completion_tokens, code, await stopped, response.status];
    });
    assert.deepEqual(told, [2, "invalid-request", "AbortError", 200]);
    assert.deepEqual(await workers([one, three]), [1, 0]);

    // The host tab navigates away.
    await ask(three, LONG);
    await begun(three, 10);
    await one.run(() => (globalThis as unknown as Shared).engine.unload());
    assert.equal(await outcome(three), wanted);
    assert.deepEqual(await workers([three]), [1]);
    // Different options need another engine.
    await load(one, { share: true, context: 256 });
    assert.deepEqual(await workers([one, three]), [2, 1]);
  });

  test("a host tab that is being frozen leaves the engine to another tab, and nothing is lost in either", async () => {
    const [one, two] = [await first.another(), await first.another()];
    for (const tab of [one, two]) {
      await prepare(tab);
      await load(tab, { share: true, context: 768 });
    }
    const freeze = (tab: Tab) => tab.run(() => void document.dispatchEvent(new Event("freeze")));
    await ask(one, LONG);
    await ask(two, LONG);
    await begun(two, 20);
    await freeze(one);
    assert.deepEqual([await outcome(one), await outcome(two)], [wanted, wanted]);
    assert.deepEqual(await workers([one, two]), [1, 1]);

    await ask(one, LONG);
    await begun(one, 20);
    await two.closeAlone();
    assert.equal(await outcome(one), wanted, "it hosts the engine again");
    assert.deepEqual(await workers([one]), [2]);
    await freeze(one);
    await ask(one, LONG);
    assert.equal(await outcome(one), wanted);
    assert.deepEqual(await workers([one]), [2], "a tab without others keeps the engine");
    await one.closeAlone();
  });

  test("a host that cannot load the model reports it, and tries again when asked again", async () => {
    const [one, two] = [await first.another(), await first.another()];
    for (const tab of [one, two]) {
      await prepare(tab);
      await load(tab, { share: true, context: 2048 });
    }
    await two.run(async () => {
      const { packages } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
      for (const { url } of await packages.list()) await packages.delete(url);
    });
    site.replaced.set(`${MODEL}model.json`, new TextEncoder().encode("{}"));
    await ask(two, { ...LONG, max_tokens: 1900, logit_bias: { 2: -100 } });
    await begun(two, 5);
    await one.closeAlone();
    assert.doesNotMatch(await outcome(two), /^(stop|length): /);
    site.replaced.delete(`${MODEL}model.json`);
    await ask(two, LONG);
    assert.equal(await outcome(two), wanted);
    await two.closeAlone();
  });
});
