/** `engine.batch`: OpenAI's Batch API in a page. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { BatchAnswer, BatchProgress, BatchRequest, Engine } from "../src/index.js";
import { inBrowsers, type Tab } from "./driver.js";
import { startSite, type Site } from "./site.js";

interface Kept {
  engine: Engine;
}

const CHAT = "/v1/chat/completions";
const about = (scene: number): Record<string, unknown> => ({
  messages: [
    {
      role: "user",
      content: [
        { type: "image_url", image_url: { url: `/models/demo/gallery/scene-0${scene}.png` } },
        { type: "text", text: "Describe this image." },
      ],
    },
  ],
  temperature: 0,
  max_tokens: 6,
});
const request = (custom_id: string, body: Record<string, unknown>, url = CHAT): BatchRequest => ({ custom_id, method: "POST", url, body });

const LINES: (BatchRequest | string)[] = [
  request("scene 1", about(1)),
  JSON.stringify(request("scene 2", about(2))),
  "no JSON",
  "",
  request("scene 1", about(3)),
  request("stream", { ...about(1), stream: true }),
  request("refused", { messages: [], n: 0 }),
  request("nowhere", {}, "/v1/nothing"),
  JSON.stringify({ custom_id: "half", url: CHAT }),
  request("text", { prompt: "One", temperature: 0, max_tokens: 4 }, "/v1/completions"),
];

inBrowsers("batch", (browser) => {
  let site: Site;
  let tab: Tab;
  before(async () => {
    site = await startSite();
    tab = await browser().newTab();
    await tab.goto(`${site.url}test/blank.html`);
    await tab.run(async () => {
      const { Engine } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
      Object.assign(window, { engine: await Engine.load("/models/demo/") });
    });
  });
  after(async () => {
    await tab?.close();
    await site?.stop();
  });

  test("all requests are answered once, as they are alone, and invalid lines are reported", async () => {
    const { answers, progress, alone } = await tab.run(async (lines: (BatchRequest | string)[]) => {
      const { engine } = window as unknown as Kept;
      const [answers, progress]: [BatchAnswer[], BatchProgress[]] = [[], []];
      for await (const answer of engine.batch(lines, { onProgress: (report) => progress.push(report) })) answers.push(answer);
      const body = JSON.stringify((lines[0] as BatchRequest).body);
      const alone = (await (await engine.fetch("/v1/chat/completions", { method: "POST", body })).json()) as unknown;
      return { answers, progress, alone };
    }, LINES);
    const told = answers.map(({ custom_id, response, error }) => [
      custom_id,
      response?.status_code ?? null,
      error?.code ?? null,
      error?.line ?? null,
    ]);
    // Answers are yielded as they complete.
    const sorted = (rows: unknown[]): string[] => rows.map((row) => JSON.stringify(row)).sort();
    const expected = [
      ["scene 1", 200, null, null],
      ["scene 2", 200, null, null],
      [null, null, "invalid_json_line", 3],
      [null, null, "duplicate_custom_id", 5],
      ["stream", 400, null, null],
      ["refused", 400, null, null],
      ["nowhere", 404, null, null],
      [null, null, "missing_required_parameter", 9],
      ["text", 200, null, null],
    ];
    assert.deepEqual(sorted(told), sorted(expected));
    type Body = { choices: { message: { content: string } }[]; usage: { prompt_tokens: number; completion_tokens: number } };
    const first = answers.find(({ custom_id }) => custom_id === "scene 1");
    const body = first?.response?.body as unknown as Body;
    assert.equal(body.choices[0]?.message.content, (alone as Body).choices[0]?.message.content);
    assert.ok(body.usage.prompt_tokens > 20 && body.usage.completion_tokens > 0, JSON.stringify(body.usage));
    assert.equal(first?.id, `batch_${first?.response?.request_id ?? ""}`);
    assert.deepEqual(
      progress.map(({ done }) => done),
      answers.map((_, index) => index + 1),
    );
    // The empty line does not count.
    assert.deepEqual([progress.at(-1)?.total, progress.at(-1)?.secondsLeft], [LINES.length - 1, 0]);
  });

  test("a batch resumes after its loop was left, and an aborted one reports the reason", async () => {
    const { ids, failure } = await tab.run(async (lines: (BatchRequest | string)[]) => {
      const { engine } = window as unknown as Kept;
      const ids: string[] = [];
      // Left after every second answer.
      for (;;) {
        const before = ids.length;
        for await (const { custom_id } of engine.batch(lines, { answered: ids })) {
          if (custom_id !== null) ids.push(custom_id);
          if (ids.length === before + 2) break;
        }
        if (ids.length < before + 2) break;
      }
      const stop = new AbortController();
      const aborted = async () => {
        for await (const _ of engine.batch(lines, { signal: stop.signal })) stop.abort("enough");
      };
      const failure: unknown = await aborted().catch((reason: unknown) => reason);
      return { ids, failure };
    }, LINES);
    assert.deepEqual(ids.sort(), ["nowhere", "refused", "scene 1", "scene 2", "stream", "text"]);
    assert.equal(failure, "enough");
  });
});
