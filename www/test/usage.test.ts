/** Budgets in a page: refusals, ends of answers, stored usage, and shared budgets. The rules are tested in `src/usage/tests.rs`. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { BudgetDetail, Budgets, ChatCompletionRequest, OcelliError, UsageReport, UsageRow } from "../src/index.js";
import { fillClientPage, openClientPage, type Client, type Kept } from "./client-page.js";
import { inBrowsers, type Tab } from "./driver.js";
import { startSite, type Site } from "./site.js";

const BUDGETS: Budgets = { request: { tokens: 45 }, key: { tokens: 150 } };

const DAY_MS = 86_400_000;

/** A request for an answer of a given length. */
const endless = (user: string, more: object = {}): ChatCompletionRequest => ({
  messages: [{ role: "user", content: "Hello" }],
  max_tokens: 300,
  temperature: 0,
  logit_bias: { "2": -100 },
  user,
  ...more,
});

/** The result of a question: its total tokens and finish reason, or the refusal. */
interface Outcome {
  total: number;
  reason: string | null;
  detail: BudgetDetail | null;
  events: number;
}

async function ask(tab: Tab, request: ChatCompletionRequest): Promise<Outcome> {
  return tab.run(async (request) => {
    const { engine } = window as unknown as Kept;
    let events = 0;
    const onProgress = () => events++;
    try {
      const { usage, choices } = await engine.chat.completions.create({ ...request, stream: false }, { onProgress });
      return { total: usage.total_tokens, reason: choices[0]?.finish_reason ?? null, detail: null, events };
    } catch (error) {
      const { code, detail } = error as OcelliError;
      if (code !== "budget-exceeded") throw error;
      return { total: 0, reason: null, detail: detail as unknown as BudgetDetail, events };
    }
  }, request);
}

const usage = (tab: Tab): Promise<UsageReport> => tab.run(() => (window as unknown as Kept).engine.usage());

async function row(tab: Tab, key: string): Promise<UsageRow> {
  const { rows } = await usage(tab);
  const found = rows.find((row) => row.key === key);
  assert.ok(found, `no ${key}: ${JSON.stringify(rows)}`);
  return found;
}

inBrowsers("usage", (browser) => {
  let site: Site;
  let tab: Tab;
  before(async () => {
    // Budgets are those of a day of UTC, which must not end meanwhile.
    const left = DAY_MS - (Date.now() % DAY_MS);
    if (left < 300_000) await new Promise((resolve) => setTimeout(resolve, left));
    site = await startSite();
    tab = await openClientPage(browser(), site, { budgets: BUDGETS });
  });
  after(async () => {
    await tab?.close();
    await site?.stop();
  });

  test("too long prompts are refused before any work, and the client does not repeat them", async () => {
    const long = endless("long", { messages: [{ role: "user", content: "word ".repeat(100) }] });
    const refused = await ask(tab, long);
    const { scope, limit, spent, asked, renews_at } = refused.detail ?? {};
    assert.deepEqual([scope, limit, spent, renews_at, refused.events], ["request", 45, 0, null, 0]);
    assert.ok((asked ?? 0) > 100, JSON.stringify(refused));
    const told = await tab.run(async (request) => {
      const { engine, failure, about } = window as unknown as Kept;
      const { OpenAI } = (await import("/test/openai.js" as string)) as Client;
      // The client's default number of retries.
      const { maxRetries: _, ...options } = engine.openai();
      const client = new OpenAI(options);
      const create = (more: object) => failure(client.chat.completions.create({ model: "demo", ...request, ...more } as never));
      const picture = { ...about("/models/demo/gallery/scene-01.png"), user: "picture" };
      const failures = [await create({}), await create({ stream: true }), await failure(client.chat.completions.create(picture))];
      const response = await engine.fetch("/v1/chat/completions", { method: "POST", body: JSON.stringify(request) });
      const headers = [response.headers.get("x-should-retry"), response.headers.get("retry-after")];
      return { failures, headers, body: (await response.json()) as { error: { detail: BudgetDetail } } };
    }, long);
    for (const { name, status, code } of told.failures) assert.deepEqual([name, status, code], ["RateLimitError", 429, "budget_exceeded"]);
    assert.deepEqual([told.headers, told.body.error.detail], [["false", null], refused.detail]);
    const { requests, refusals } = await row(tab, "long");
    assert.deepEqual([requests, refusals], [0, 4], "each was asked once");
  });

  test("answers end with the budget, and the last answer of a day uses its rest", async () => {
    assert.deepEqual(await ask(tab, endless("ann")), { total: 45, reason: "length", detail: null, events: 1 });
    // Answers that are computed together exceed it by at most one token each.
    const together = (await ask(tab, endless("ann", { n: 3 }))).total;
    assert.ok(together >= 45 && together <= 47, `of all answers together: ${together}`);
    const streamed = await tab.run(async (request) => {
      const { engine } = window as unknown as Kept;
      const stream = await engine.chat.completions.create({ ...request, stream: true, stream_options: { include_usage: true } });
      let told: [string | null, number] = [null, 0];
      for await (const { choices, usage } of stream) {
        told = [choices[0]?.finish_reason ?? told[0], usage?.total_tokens ?? 0];
      }
      return told;
    }, endless("ann"));
    assert.deepEqual(streamed, ["length", 45]);
    assert.equal((await ask(tab, endless("ann"))).total, 60 - together);
    const { detail } = await ask(tab, endless("ann"));
    assert.deepEqual([detail?.scope, detail?.limit, detail?.spent], ["key", 150, 150]);
    assert.ok((detail?.retry_after ?? 0) > 0 && detail?.renews_at?.endsWith("T00:00:00Z"), JSON.stringify(detail));
    const retryAfter = await tab.run(async (request) => {
      const { engine } = window as unknown as Kept;
      const response = await engine.fetch("/v1/chat/completions", { method: "POST", body: JSON.stringify({ ...request, stream: true }) });
      return [response.status, Number(response.headers.get("retry-after")) > 0];
    }, endless("ann"));
    assert.deepEqual(retryAfter, [429, true]);
    const { requests, refusals, seconds, prompt_tokens, completion_tokens } = await row(tab, "ann");
    assert.deepEqual([requests, refusals, prompt_tokens + completion_tokens], [4, 2, 150]);
    assert.ok(seconds > 0);
    assert.equal((await ask(tab, endless("bob", { budget: { tokens: 30 } }))).total, 30, "a budget of its own");
    assert.equal((await ask(tab, endless("bob", { budget: { seconds: 0 } }))).detail?.unit, "seconds");
  });

  test("usage survives a reload and damaged lines, and is not counted without budgets", async () => {
    const before = await row(tab, "ann");
    await tab.run(async () => {
      const cache = await caches.open("ocelli-usage-v1");
      for (const { url } of await cache.keys()) {
        const text = (await (await cache.match(url))?.text()) ?? "";
        await cache.put(url, new Response(`${text}{"day": "20`));
      }
      (window as unknown as Kept).engine.unload();
    });
    await fillClientPage(tab, site, { budgets: BUDGETS });
    assert.deepEqual(await row(tab, "ann"), before);
    assert.equal((await ask(tab, endless("carl", { max_tokens: 2 }))).reason, "length");
    const report = await usage(tab);
    assert.deepEqual([report.damagedLines, report.rows.filter(({ key }) => key === "ann")], [1, [before]]);
    assert.ok(report.csv.startsWith("day,key,requests,") && report.csv.includes(',"ann",'), report.csv);
    // Midnight may have passed.
    if ((await row(tab, "carl")).day === before.day) assert.equal((await ask(tab, endless("ann"))).detail?.scope, "key");

    const counted = await row(tab, "ann");
    await tab.run(() => (window as unknown as Kept).engine.unload());
    await fillClientPage(tab, site);
    assert.equal((await ask(tab, endless("ann", { max_tokens: 60 }))).reason, "length");
    assert.equal((await ask(tab, endless("ann", { budget: { tokens: 20 } }))).total, 20);
    const wrong = await tab.run(
      async (request) => {
        const { client, failure } = window as unknown as Kept;
        return failure(client.chat.completions.create(request as never));
      },
      endless("ann", { budget: { tokens: "20" }, model: "demo" }),
    );
    assert.deepEqual([wrong.status, wrong.code, wrong.param], [400, "invalid_value", "budget.tokens"]);
    assert.deepEqual(await row(tab, "ann"), counted);
  });

  test("a batch stays within its budget; lines beyond it are answered once, each with a refusal", async () => {
    const { answers, spent } = await tab.run(
      async (request) => {
        const { engine } = window as unknown as Kept;
        const lines = Array.from({ length: 6 }, (_, index) => ({
          custom_id: `${index}`,
          url: "/v1/chat/completions",
          body: { ...request },
        }));
        const [answers, ids]: [[string | null, number, number][], string[]] = [[], []];
        const budget = { tokens: 70 };
        let spent = { tokens: 0, seconds: 0 };
        // Left after each second answer.
        for (let done = -1; done !== ids.length; ) {
          done = ids.length;
          const options = { budget, spent, answered: ids, onProgress: (report: { spent: typeof spent }) => (spent = report.spent) };
          for await (const { custom_id, response } of engine.batch(lines, options)) {
            const { total_tokens = 0 } = (response?.body["usage"] ?? {}) as { total_tokens?: number };
            answers.push([custom_id, response?.status_code ?? 0, total_tokens]);
            ids.push(custom_id ?? "");
            if (ids.length === done + 2) break;
          }
        }
        return { answers, spent };
      },
      endless("batch", { max_tokens: 20 }) as unknown as Record<string, unknown>,
    );
    assert.deepEqual(
      answers.map(([id]) => id),
      ["0", "1", "2", "3", "4", "5"],
    );
    assert.equal(spent.tokens, 70, JSON.stringify(answers));
    assert.equal(
      answers.reduce((sum, [, , total]) => sum + total, 0),
      70,
    );
    assert.ok(spent.seconds > 0 && answers.at(-1)?.[1] === 429, JSON.stringify(answers));
  });

  test("a counted stream that nobody reads holds up no other counted request, and both share what is left", async () => {
    await tab.run(() => (window as unknown as Kept).engine.unload());
    await fillClientPage(tab, site, { budgets: { key: { tokens: 150 } } });
    const { answers, unread, total } = await tab.run(async (request) => {
      const { completions } = (window as unknown as Kept).engine.chat;
      const options = { stream: true as const, stream_options: { include_usage: true } };
      const stream = (await completions.create({ ...request, ...options }))[Symbol.asyncIterator]();
      await stream.next();
      const answers: number[] = [];
      for (const max_tokens of [5, 300]) {
        const { usage } = await completions.create({ ...request, stream: false, max_tokens });
        answers.push(usage.total_tokens);
      }
      let [unread, total] = [0, 0];
      for (let next = await stream.next(); !next.done; next = await stream.next()) {
        unread++;
        total = next.value.usage?.total_tokens ?? 0;
      }
      return { answers, unread, total };
    }, endless("unread"));
    const [short = 0, long = 0] = answers;
    assert.ok(unread > 8 && short > 5 && long > short, JSON.stringify({ answers, unread, total }));
    const { requests, prompt_tokens, completion_tokens } = await row(tab, "unread");
    assert.deepEqual([requests, prompt_tokens + completion_tokens], [3, short + long + total]);
    assert.ok(short + long + total >= 150 && short + long + total <= 151, JSON.stringify({ answers, total }));
  });

  test("engines of two tabs count together", async () => {
    const other = await tab.another();
    await fillClientPage(other, site, { budgets: { key: { tokens: 150 } } });
    assert.equal((await ask(tab, endless("both", { max_tokens: 20 }))).reason, "length");
    const first = await row(other, "both");
    const rest = 150 - first.prompt_tokens - first.completion_tokens;
    assert.equal((await ask(other, endless("both"))).total, rest);
    for (const one of [tab, other]) assert.equal((await ask(one, endless("both"))).detail?.spent, 150);
    const { requests, refusals } = await row(tab, "both");
    assert.deepEqual([requests, refusals], [2, 2]);
    await other.closeAlone();
  });

  test("three tabs share one budget", async () => {
    await tab.run(() => (window as unknown as Kept).engine.unload());
    const tabs = [await tab.another(), await tab.another(), await tab.another()];
    for (const one of tabs) await fillClientPage(one, site, { budgets: { key: { tokens: 100 } }, share: true });
    const outcomes = await Promise.all(tabs.map((one) => ask(one, endless("tabs", { max_tokens: 60 }))));
    const sum = outcomes.reduce((sum, { total }) => sum + total, 0);
    // Answers that are computed together take at most one token each in addition.
    assert.ok(sum >= 100 && sum <= 102, JSON.stringify(outcomes));
    for (const one of tabs) {
      const { prompt_tokens, completion_tokens } = await row(one, "tabs");
      assert.equal(prompt_tokens + completion_tokens, sum);
      assert.equal((await ask(one, endless("tabs"))).detail?.spent, sum);
    }
    for (const one of tabs) await one.closeAlone();
  });
});
