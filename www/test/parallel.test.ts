/** Several requests at once: each answer equals the answer to the request alone. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { BatchRequest, Engine } from "../src/index.js";
import { inBrowsers, type Tab } from "./driver.js";
import { startSite, type Site } from "./site.js";

const MODEL = "/packages/untied-q4_0/";
const QUESTIONS = ["say much", "say more", "what then", "and now"];

interface Kept {
  engine: Engine;
  /** Answers to {@link QUESTIONS}, asked one after another. */
  alone: string[];
  ask: (question: string, options?: { signal?: AbortSignal; max_tokens?: number; logit_bias?: Record<number, number> }) => Promise<string>;
}

inBrowsers("parallel", (browser) => {
  let site: Site;
  let tab: Tab;
  before(async () => {
    site = await startSite();
    tab = await browser().newTab();
    await tab.goto(`${site.url}test/blank.html`);
    const [most, alone] = await tab.run(
      async ({ model, questions }) => {
        const { Engine } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
        const kept = window as unknown as Kept;
        kept.ask = async (question, { signal, max_tokens = 20, logit_bias = {} } = {}) => {
          const request = { messages: [{ role: "user" as const, content: question }], max_tokens, logit_bias, temperature: 0 };
          const { choices } = await kept.engine.chat.completions.create(request, signal ? { signal } : {});
          return choices[0]?.message.content ?? "";
        };
        kept.engine = await Engine.load(model, { context: 2048 });
        kept.alone = [];
        for (const question of questions) kept.alone.push(await kept.ask(question));
        return [kept.engine.mostTogether, kept.alone] as const;
      },
      { model: MODEL, questions: QUESTIONS },
    );
    assert.equal(most, 8);
    assert.equal(new Set(alone).size, alone.length, "the answers differ");
    assert.ok(alone.every((text) => text.length > 20));
  });
  after(async () => {
    await tab?.close();
    await site?.stop();
  });

  test("answers computed at once equal those computed alone, streamed or not, also with n", async () => {
    const { texts, alone, streamed, order, choices } = await tab.run(async (questions) => {
      const { engine, ask, alone } = window as unknown as Kept;
      const texts = await Promise.all(questions.map((question) => ask(question)));
      const order: number[] = [];
      const read = async (content: string, index: number) => {
        const request = { messages: [{ role: "user" as const, content }], max_tokens: 20, temperature: 0, stream: true as const };
        let text = "";
        for await (const { choices } of await engine.chat.completions.create(request)) {
          order.push(index);
          text += choices[0]?.delta.content ?? "";
        }
        return text;
      };
      const streamed = await Promise.all(questions.map(read));
      const several = { messages: [{ role: "user" as const, content: questions[0] ?? "" }], max_tokens: 20, temperature: 0, n: 3 };
      const { choices } = await engine.chat.completions.create(several);
      return { texts, alone, streamed, order, choices: choices.map(({ message }) => message.content) };
    }, QUESTIONS);
    assert.deepEqual(texts, alone);
    assert.deepEqual(streamed, alone);
    assert.deepEqual(choices, [alone[0], alone[0], alone[0]]);
    for (const index of QUESTIONS.keys()) {
      const within = order.slice(order.indexOf(index), order.lastIndexOf(index));
      assert.ok(new Set(within).size > 1, `the stream of question ${index} is not alone: ${order.join(" ")}`);
    }
  });

  test("batched steps give the tokens of single steps", async () => {
    const measures = await tab.run(async (model) => {
      const { Engine } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
      const parts = { workerUrl: "/bench-worker.js", wasmUrl: "/ocelli/wasm/ocelli_bench_bg.wasm" };
      const engine = await Engine.load(model, { ...parts, context: 2048 });
      const options = { decode: [], prefill: [], pictures: [], together: [3, 8], tokens: 12, rounds: 1, kernels: false };
      const { measures } = await engine.bench(options);
      engine.unload();
      return measures.map(({ what, size }) => [what, size]);
    }, MODEL);
    assert.deepEqual(
      measures.filter(([what]) => what === "together"),
      [
        ["together", 3],
        ["together", 8],
      ],
    );
  });

  test("an aborted, failed or unread request delays no other", async () => {
    const told = await tab.run(async (questions) => {
      const { engine, ask } = window as unknown as Kept;
      const outcome = (asked: Promise<string>) =>
        asked.catch((thrown: unknown) => `failed: ${String((thrown as { code?: string }).code ?? thrown)}`);
      const stop = new AbortController();
      const request = { messages: [{ role: "user" as const, content: "say much" }], max_tokens: 24, temperature: 0, stream: true as const };
      const unread = (await engine.chat.completions.create(request))[Symbol.asyncIterator]();
      await unread.next();
      // Without the token that ends answers.
      const first = outcome(ask(questions[1] ?? "", { signal: stop.signal, max_tokens: 1800, logit_bias: { 2: -100 } }));
      const asked = [
        outcome(ask(questions[2] ?? "")),
        outcome(ask("")),
        outcome(ask("a".repeat(20_000))),
        outcome(ask(questions[3] ?? "")),
      ];
      // At once: on the processor 1800 tokens of this model take some tens of milliseconds.
      setTimeout(() => stop.abort("given up"), 0);
      const answers = await Promise.all(asked);
      const memory = (await engine.memoryNow()).peak;
      let text = "";
      for (let chunk = await unread.next(); !chunk.done; chunk = await unread.next()) text += chunk.value.choices[0]?.delta.content ?? "";
      return { answers, first: await first, memory, text, whole: await ask("say much", { max_tokens: 24 }) };
    }, QUESTIONS);
    const { alone } = await tab.run(() => ({ alone: (window as unknown as Kept).alone }));
    assert.equal(told.answers[0], alone[2]);
    assert.equal(told.answers[3], alone[3]);
    assert.match(told.answers[2] ?? "", /^failed: context-overflow/);
    assert.equal(told.first, "failed: given up");
    assert.ok(told.memory > 0);
    assert.ok(told.text.length > 0 && told.whole.endsWith(told.text), `${told.whole} | ${told.text}`);
  });

  test("a batch is answered several requests at a time, every id once, and chats take priority", async () => {
    // So many that the others are not over when the chat is asked.
    const asked = Array.from({ length: 8 }, () => QUESTIONS).flat();
    const { order, texts } = await tab.run(async (asked) => {
      const { engine, ask } = window as unknown as Kept;
      const lines: BatchRequest[] = asked.map((content, index) => ({
        custom_id: `line ${index}`,
        url: "/v1/chat/completions",
        body: { messages: [{ role: "user", content }], max_tokens: 20, temperature: 0 },
      }));
      const order: string[] = [];
      const texts: Record<string, string> = {};
      let person: Promise<void> | null = null;
      for await (const { custom_id, response } of engine.batch(lines)) {
        order.push(custom_id ?? "?");
        const body = response?.body as { choices: { message: { content: string } }[] };
        texts[custom_id ?? "?"] = body.choices[0]?.message.content ?? "";
        person ??= ask("quick", { max_tokens: 2 }).then(() => void order.push("person"));
      }
      await person;
      return { order, texts };
    }, asked);
    const { alone } = await tab.run(() => ({ alone: (window as unknown as Kept).alone }));
    const ids = asked.map((_, index) => `line ${index}`);
    assert.deepEqual(order.filter((id) => id !== "person").sort(), [...ids].sort());
    for (const [index, id] of ids.entries()) assert.equal(texts[id], alone[index % QUESTIONS.length], id);
    assert.ok(order.indexOf("person") < order.length - 2, order.join(", "));
  });

  test("a batch can have requests that depend on earlier answers", async () => {
    const ids = await tab.run(async () => {
      const { engine } = window as unknown as Kept;
      const ids: (string | null)[] = [];
      let heard: () => void = () => undefined;
      async function* requests() {
        for (const custom_id of ["first", "second", "third"]) {
          const answered = new Promise<void>((resolve) => {
            heard = resolve;
          });
          yield { custom_id, url: "/v1/completions", body: { prompt: "One", max_tokens: 2, temperature: 0 } };
          await answered;
        }
      }
      for await (const { custom_id } of engine.batch(requests())) {
        ids.push(custom_id);
        heard();
      }
      return ids;
    });
    assert.deepEqual(ids, ["first", "second", "third"]);
  });
});
