/** OpenAI's own client, unmodified, with `engine.fetch`. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { ChatMessage } from "../src/index.js";
import { openClientPage, PICTURE, type Kept } from "./client-page.js";
import { inBrowsers, type Tab } from "./driver.js";
import { startSite, type Site } from "./site.js";

inBrowsers("openai", (browser) => {
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

  test("chats with a picture, by address and as data, give the answer of the engine", async () => {
    const { completion, byData, whole } = await tab.run(async (url) => {
      const { client, about, answerTo } = window as unknown as Kept;
      const blob = await (await fetch(url)).blob();
      const data = await new Promise<string>((resolve) => {
        const reader = new FileReader();
        reader.onload = () => resolve(reader.result as string);
        reader.readAsDataURL(blob);
      });
      const completion = await client.chat.completions.create(about(url));
      return { completion, byData: await client.chat.completions.create(about(data)), whole: await answerTo(url) };
    }, PICTURE);
    assert.match(whole, /\w/);
    for (const { choices, model, usage, id, object } of [completion, byData]) {
      assert.equal(choices[0]?.message.content, whole);
      assert.equal(choices[0]?.finish_reason, "stop");
      assert.equal(model, "demo", "the real name, not the alias");
      assert.match(id, /^chatcmpl-\w{21}$/);
      assert.equal(object, "chat.completion");
      assert.ok(usage && usage.total_tokens === usage.prompt_tokens + usage.completion_tokens);
    }
    const { cached_tokens } = byData.usage?.prompt_tokens_details ?? {};
    assert.equal(cached_tokens, (byData.usage?.prompt_tokens ?? 0) - 1, "the same picture is not encoded again");
  });

  test("streams, the stream helper and teed streams add up to the answer, with usage last", async () => {
    const told = await tab.run(async (url) => {
      const { client, about, answerTo } = window as unknown as Kept;
      const stream = await client.chat.completions.create({ ...about(url), stream: true, stream_options: { include_usage: true } });
      let plain = "";
      const usages: unknown[] = [];
      for await (const chunk of stream) {
        plain += chunk.choices[0]?.delta.content ?? "";
        usages.push(chunk.usage?.completion_tokens ?? null);
      }
      const helper = client.chat.completions.stream(about(url));
      const deltas: string[] = [];
      helper.on("content.delta", ({ delta }) => deltas.push(delta));
      const final = await helper.finalContent();
      const [left, right] = (await client.chat.completions.create({ ...about(url), stream: true })).tee();
      const text = async (one: typeof left) => {
        let text = "";
        for await (const chunk of one) text += chunk.choices[0]?.delta.content ?? "";
        return text;
      };
      return { plain, usages, final, joined: deltas.join(""), teed: [await text(left), await text(right)], whole: await answerTo(url) };
    }, PICTURE);
    for (const text of [told.plain, told.final, told.joined, ...told.teed]) assert.equal(text, told.whole);
    assert.ok(told.usages.slice(0, -1).every((usage) => usage === null) && told.usages.at(-1) !== null);
  });

  test("log probabilities, several answers and the list of models are correct", async () => {
    const { completion, models, model } = await tab.run(async (url) => {
      const { client, about } = window as unknown as Kept;
      // The demo model gives one answer with near certainty: a bias for other letters makes sampling visible.
      const logit_bias = Object.fromEntries(Array.from({ length: 40 }, (_, index) => [300 + index, 100]));
      const request = { ...about(url), temperature: 2, seed: 7, n: 3, logprobs: true, top_logprobs: 3, logit_bias };
      const models = [];
      for await (const model of client.models.list()) models.push(model.id);
      return { completion: await client.chat.completions.create(request), models, model: await client.models.retrieve("gpt-4o") };
    }, PICTURE);
    assert.equal(completion.choices.length, 3);
    for (const { logprobs, message } of completion.choices) {
      const content = logprobs?.content ?? [];
      assert.equal(
        content
          .flatMap(({ bytes }) => bytes ?? [])
          .map((byte) => String.fromCharCode(byte))
          .join(""),
        message.content,
      );
      for (const { logprob, top_logprobs } of content) {
        assert.ok(logprob <= 0 && top_logprobs.length === 3);
        const [first, second, third] = top_logprobs.map((top) => top.logprob) as [number, number, number];
        assert.ok(first >= second && second >= third && first >= logprob - 1e-6, JSON.stringify(top_logprobs));
      }
    }
    assert.ok(new Set(completion.choices.map(({ message }) => message.content)).size > 1, "they differ");
    assert.deepEqual([models, model.id], [["demo"], "demo"]);
  });

  test("completions and responses are answered", async () => {
    const { text, whole, response, events, final, tokens, counted } = await tab.run(async (url) => {
      const { client, engine, answerTo, about } = window as unknown as Kept;
      const input = [
        {
          role: "user" as const,
          content: [
            { type: "input_image" as const, image_url: url, detail: "auto" as const },
            { type: "input_text" as const, text: "Describe this image." },
          ],
        },
      ];
      const request = { model: "demo", input, temperature: 0, max_output_tokens: 40 };
      const response = await client.responses.create(request);
      const events: string[] = [];
      const helper = client.responses.stream(request).on("event", ({ type }) => events.push(type));
      const final = await helper.finalResponse();
      const text = await client.completions.create({ model: "demo", prompt: "Hello", max_tokens: 4, temperature: 0 });
      const counted = await client.responses.inputTokens.count({ model: "demo", input });
      const tokens = await engine.tokenize({ messages: about(url).messages as ChatMessage[] });
      return { text, whole: await answerTo(url), response, events, final, tokens, counted };
    }, PICTURE);
    assert.equal(response.output_text, whole);
    assert.equal(final.output_text, whole);
    assert.equal(response.status, "completed");
    const order = events.filter((event, index) => event !== events[index - 1]);
    assert.deepEqual(order, [
      "response.created",
      "response.in_progress",
      "response.output_item.added",
      "response.content_part.added",
      "response.output_text.delta",
      "response.output_text.done",
      "response.content_part.done",
      "response.output_item.done",
      "response.completed",
    ]);
    assert.equal(text.choices.length, 1);
    assert.equal(text.usage?.completion_tokens, 4);
    assert.equal(counted.input_tokens, response.usage?.input_tokens);
    assert.equal(tokens.count, response.usage?.input_tokens);
  });

  test("refusals have status, type, code and param", async () => {
    const told = await tab.run(async (url) => {
      const { client, about, failure } = window as unknown as Kept;
      const create = (more: object) => failure(client.chat.completions.create({ ...about(url), ...more } as never));
      const words = { role: "user", content: "word ".repeat(4000) };
      const streamed = async () => {
        const stream = await client.chat.completions.create({ ...about(url), messages: [words as never], stream: true });
        for await (const _ of stream);
      };
      return {
        tools: await create({ tools: [{ type: "custom", custom: { name: "f" } }] }),
        unknown: await create({ colour: "red" }),
        range: await create({ temperature: 3 }),
        model: await create({ model: "gpt-5" }),
        long: await create({ messages: [words] }),
        picture: await failure(client.chat.completions.create(about("/nowhere.png"))),
        scheme: await failure(client.chat.completions.create(about("ftp://host/a.png"))),
        broken: await failure(client.chat.completions.create(about("data:image/png;base64,AAAA"))),
        address: await failure(client.moderations.create({ input: "a" })),
        embeddings: await failure(client.embeddings.create({ model: "demo", input: "a" })),
        kept: await failure(client.responses.create({ input: "a", previous_response_id: "resp_1" })),
        inStream: await failure(streamed()),
      };
    }, PICTURE);
    const url = "messages[0].content[0].image_url.url";
    const rows = Object.entries(told).map(([name, { status, type, code, param }]) => [name, status, type, code, param]);
    const invalid = "invalid_request_error";
    assert.deepEqual(rows, [
      ["tools", 400, invalid, "unsupported_parameter", "tools[0].type"],
      ["unknown", 400, invalid, "unsupported_parameter", "colour"],
      ["range", 400, invalid, "invalid_value", "temperature"],
      ["model", 404, invalid, "model_not_found", "model"],
      ["long", 400, invalid, "context_length_exceeded", null],
      ["picture", 400, invalid, "failed_to_download_image", url],
      ["scheme", 400, invalid, "invalid_value", url],
      ["broken", 400, invalid, "image_parse_error", url],
      ["address", 404, invalid, "unknown_url", null],
      ["embeddings", 400, invalid, "unsupported_parameter", "model"],
      ["kept", 400, invalid, "invalid_value", "previous_response_id"],
      // Its headers were sent before.
      ["inStream", undefined, invalid, "context_length_exceeded", null],
    ]);
  });
});
