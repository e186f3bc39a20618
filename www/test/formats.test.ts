/** Formats and tools with OpenAI's own client and `engine.fetch`. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type OpenAI from "openai";
import { openClientPage, PICTURE, type Client, type Kept } from "./client-page.js";
import { inBrowsers, type Tab } from "./driver.js";
import { startSite, type Site } from "./site.js";

/** The module for formats. */
const GRAMMAR = "/ocelli/wasm/ocelli_grammar_bg.wasm";

inBrowsers("formats", (browser) => {
  let site: Site;
  let tab: Tab;
  before(async () => {
    site = await startSite();
    tab = await openClientPage(browser(), site);
  });
  after(async () => {
    await tab?.close();
    await site?.stop();
  });

  test("answers match a zod schema; the module for formats is loaded when a request needs it", async () => {
    assert.equal(site.requests.get(GRAMMAR), undefined);
    const { parsed, streamed, response, loose, regex, refused } = await tab.run(async (url) => {
      const { client, about, failure } = window as unknown as Kept;
      const { z, zodResponseFormat, zodTextFormat } = (await import("/test/openai.js" as string)) as Client;
      const Scene = z.object({
        shape: z.enum(["circle", "square", "star"]),
        count: z.number().int().min(0).max(20),
        words: z.array(z.string().max(8)).max(2),
      });
      const scene = { ...about(url), temperature: 1.5, seed: 5, max_tokens: 200, response_format: zodResponseFormat(Scene, "scene") };
      const chat = async (response_format: object) =>
        (await client.chat.completions.create({ ...about(url), response_format } as never)) as OpenAI.ChatCompletion;
      const impossible = { name: "a", schema: { type: "array", items: { type: "string", not: { pattern: "b" } } } };
      const stream = { ...about(url), stream: true, response_format: { type: "json_schema", json_schema: impossible } } as const;
      const text = { format: zodTextFormat(Scene, "scene") };
      // A getter, which is not sent out of the page by itself.
      const { output_parsed } = await client.responses.parse({ model: "demo", input: "Describe a scene.", temperature: 1.5, text });
      return {
        parsed: await client.chat.completions.parse(scene),
        streamed: await client.chat.completions.stream(scene).finalChatCompletion(),
        response: output_parsed,
        loose: await chat({ type: "json_object" }),
        regex: await chat({ type: "regex", regex: "(red|green) [a-z]{3}" }),
        refused: await failure(client.chat.completions.create(stream)),
      };
    }, PICTURE);
    assert.equal(site.requests.get(GRAMMAR), 1);
    const [choice] = parsed.choices;
    assert.equal(choice?.finish_reason, "stop");
    const scene = choice.message.parsed;
    assert.ok(scene && scene.count >= 0 && scene.count <= 20 && ["circle", "square", "star"].includes(scene.shape), JSON.stringify(scene));
    assert.match(
      choice.message.content ?? "",
      /^\{"shape": "\w+", "count": \d+, "words": \[/,
      "fixed separators, keys in the schema's order",
    );
    assert.equal(streamed.choices[0]?.message.content, choice.message.content);
    assert.ok(response && response.words.length <= 2, JSON.stringify(response));
    assert.match(loose.choices[0]?.message.content ?? "", /^\{/);
    assert.match(regex.choices[0]?.message.content ?? "", /^(red|green) [a-z]{3}$/);
    const { status, code, param } = refused;
    assert.deepEqual([status, code, param], [400, "unsupported_schema", "/response_format/json_schema/schema/items"]);
  });

  test("tools are called with valid arguments, whole and in streams", async () => {
    const told = await tab.run(async (url) => {
      const { client, about } = window as unknown as Kept;
      const parameters = {
        type: "object",
        properties: { shape: { enum: ["circle", "star"] } },
        required: ["shape"],
        additionalProperties: false,
      };
      const tools = [{ type: "function" as const, function: { name: "paint", parameters } }];
      const asked = { ...about(url), tools, tool_choice: "required" as const, parallel_tool_calls: false };
      const whole = await client.chat.completions.create(asked);
      const streamed = await client.chat.completions.stream(asked).finalChatCompletion();
      const refused = { ...parameters, properties: { shape: { type: "string", not: { pattern: "b" } } } };
      const wrong = client.chat.completions.create({
        ...asked,
        tools: [{ type: "function", function: { name: "f", parameters: refused } }],
      });
      const failed = await (window as unknown as Kept).failure(wrong);
      const calls = ({ choices }: OpenAI.ChatCompletion) =>
        choices[0]?.message.tool_calls?.map((call) => (call.type === "function" ? [call.function.name, call.function.arguments] : []));
      return { whole: calls(whole), streamed: calls(streamed), reason: whole.choices[0]?.finish_reason, failed };
    }, PICTURE);
    const [name, text] = told.whole?.[0] ?? [];
    assert.equal(name, "paint");
    assert.match(text ?? "", /^\{"shape": "(circle|star)"\}$/);
    assert.deepEqual([told.streamed, told.reason], [told.whole, "tool_calls"]);
    assert.deepEqual(
      [told.failed.status, told.failed.code, told.failed.param],
      [400, "unsupported_schema", "/tools/0/function/parameters/properties/shape"],
    );
  });

  test("several answers in a format, with log probabilities, share the prompt and all have the format", async () => {
    const { whole, streamed, alone } = await tab.run(async (url) => {
      const { client, about } = window as unknown as Kept;
      const response_format = { type: "regex", regex: "(red|green|blue) [a-z]{3,9} [0-9]{2}" };
      const asked = { ...about(url), temperature: 1.5, seed: 11, n: 3, logprobs: true, top_logprobs: 2, response_format };
      const create = (more: object) => client.chat.completions.create({ ...asked, ...more } as never);
      const whole = (await create({})) as OpenAI.ChatCompletion;
      const stream = (await create({ stream: true })) as unknown as AsyncIterable<OpenAI.ChatCompletionChunk>;
      const streamed = ["", "", ""];
      const logprobs = [0, 0, 0];
      for await (const { choices } of stream) {
        for (const { index, delta, logprobs: told } of choices) {
          streamed[index] += delta.content ?? "";
          logprobs[index] = (logprobs[index] ?? 0) + (told?.content?.length ?? 0);
        }
      }
      const alone = (await create({ n: 1, seed: 12 })) as OpenAI.ChatCompletion;
      return { whole, streamed: { texts: streamed, logprobs }, alone: alone.choices[0]?.message.content };
    }, PICTURE);
    const texts = whole.choices.map(({ message }) => message.content ?? "");
    for (const { message, finish_reason, logprobs } of whole.choices) {
      assert.match(message.content ?? "", /^(red|green|blue) [a-z]{3,9} [0-9]{2}$/);
      assert.equal(finish_reason, "stop");
      const tokens = logprobs?.content ?? [];
      // Log probabilities are those of the model's own distribution, in which the format is improbable; forced tokens have them too.
      assert.equal(tokens.map(({ token }) => token).join(""), message.content);
      assert.ok(tokens.every(({ logprob, top_logprobs }) => logprob <= 0 && top_logprobs.length === 2));
      assert.ok(tokens.some(({ token, top_logprobs }) => top_logprobs.every((top) => top.token !== token)));
    }
    assert.equal(new Set(texts).size, 3, "they differ");
    assert.deepEqual(streamed.texts, texts);
    assert.deepEqual(
      streamed.logprobs,
      whole.choices.map(({ logprobs }) => logprobs?.content?.length),
    );
    assert.equal(alone, texts[1], "the i-th has the seed's i-th successor");
  });

  test("an aborted answer in a format does not affect the next one", async () => {
    const { pieces, left, next, again } = await tab.run(async (url) => {
      const { client, about, failure } = window as unknown as Kept;
      const response_format = { type: "regex", regex: "[a-z]{60,80}" };
      const asked = { ...about(url), temperature: 1.2, seed: 3, max_tokens: 100, response_format } as never;
      const text = async () => ((await client.chat.completions.create(asked)) as OpenAI.ChatCompletion).choices[0]?.message.content;
      const next = await text();
      let pieces = 0;
      const stream = client.chat.completions.stream(asked);
      stream.on("content.delta", () => {
        if (++pieces === 3) stream.abort();
      });
      const left = await failure(stream.finalContent());
      return { pieces, left: left.name, next, again: await text() };
    }, PICTURE);
    assert.equal(left, "APIUserAbortError");
    assert.ok(pieces >= 3 && pieces < 50, `${pieces} pieces`);
    assert.match(next ?? "", /^[a-z]{60,80}$/);
    assert.equal(again, next);
  });
});
