/** Calls from wasm into JavaScript, each of which costs the engine's thread time while the GPU waits for its next step. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { inBrowsers, type Tab } from "./driver.js";
import { startSite, type Site } from "./site.js";

/** Most calls for a token of an answer. */
const MOST = 20;

/** Runs before the package's worker: counts the calls of each import of wasm modules. */
const WORKER = `
  const calls = {};
  const counted = (imports) =>
    Object.fromEntries(
      Object.entries(imports).map(([module, values]) => [
        module,
        Object.fromEntries(
          Object.entries(values).map(([name, value]) => {
            if (typeof value !== "function") return [name, value];
            const key = name.replace(/^__wbg_|_[0-9a-f]{16}$/g, "");
            return [name, (...given) => ((calls[key] = (calls[key] ?? 0) + 1), value(...given))];
          }),
        ),
      ]),
    );
  for (const name of ["instantiate", "instantiateStreaming"]) {
    const instantiate = WebAssembly[name];
    WebAssembly[name] = (source, imports, ...others) => instantiate.call(WebAssembly, source, counted(imports ?? {}), ...others);
  }
  const channel = new BroadcastChannel("calls");
  channel.onmessage = () => channel.postMessage(calls);
`;
const FILES = { "/test/counting.js": WORKER, "/test/worker.js": 'import "./counting.js";\nimport "/ocelli/worker.js";\n' };

inBrowsers("calls", (browser) => {
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

  test(`a token takes at most ${String(MOST)} calls`, async (t) => {
    const { tokens, calls } = await tab.run(async () => {
      const { Engine } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
      const channel = new BroadcastChannel("calls");
      const counts = () =>
        new Promise<Record<string, number>>((resolve) => {
          channel.onmessage = ({ data }: MessageEvent<Record<string, number>>) => resolve(data);
          channel.postMessage(null);
        });
      const worker = new Worker("/test/worker.js", { type: "module" });
      const options = { worker, device: "gpu" as const, context: 512, speculation: "off" as const };
      const engine = await Engine.load("/packages/tied_two_images-q8_0/", options);
      /** Answers a question with so many tokens; returns their number and the calls so far. */
      const ask = async (max_tokens: number) => {
        const messages = [{ role: "user" as const, content: "one two three" }];
        const stream = await engine.chat.completions.create({
          messages,
          max_tokens,
          temperature: 0,
          stream: true,
          stream_options: { include_usage: true },
        });
        let tokens = 0;
        for await (const chunk of stream) tokens = chunk.usage?.completion_tokens ?? tokens;
        return { tokens, calls: await counts() };
      };
      // The first answer prepares the step, and the second one moves the pages of its conversation.
      await ask(40);
      const answers = [await ask(8), await ask(8), await ask(40)] as const;
      engine.unload();
      const [before, short, long] = answers;
      const names = Object.keys(long.calls);
      /** Calls of the longer answer that the shorter one did not make. */
      const more = (name: string) => (long.calls[name] ?? 0) - 2 * (short.calls[name] ?? 0) + (before.calls[name] ?? 0);
      return { tokens: long.tokens - short.tokens, calls: Object.fromEntries(names.map((name) => [name, more(name)])) };
    });
    assert.equal(tokens, 32, "the answers end at their limits");
    const perToken = Object.entries(calls).map(([name, count]) => [name, count / tokens] as const);
    // Work that an earlier answer did once must not hide calls of each token.
    const sum = perToken.reduce((sum, [, count]) => sum + Math.max(count, 0), 0);
    assert.ok(sum >= 1, "no call was counted");
    assert.ok(sum <= MOST, JSON.stringify(perToken.filter(([, count]) => count > 0)));
    t.diagnostic(`${sum.toFixed(1)} calls a token`);
  });
});
