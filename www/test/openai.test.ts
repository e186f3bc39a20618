/** OpenAI's own client, unmodified, against `engine.fetch`. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { after, before, test } from "node:test";
import type OpenAI from "openai";
import { build } from "esbuild";
import type { ChatMessage, Engine } from "../src/index.js";
import { inBrowsers, type Tab } from "./driver.js";
import { startSite, type Site } from "./site.js";

/** What the tests keep in the page. */
interface Kept {
  engine: Engine;
  client: OpenAI;
  /** A greedy question about the picture at `url`. */
  about(url: string): { model: string; temperature: number; max_tokens: number; messages: OpenAI.ChatCompletionMessageParam[] };
  /** The answer of the engine itself. */
  answerTo(url: string): Promise<string>;
  /** What a promise that must fail says. */
  failure(promise: PromiseLike<unknown>): Promise<Failure>;
}

interface Failure {
  name: string;
  status: number | undefined;
  type: unknown;
  code: unknown;
  param: unknown;
}

const PICTURE = "/models/demo/gallery/scene-01.png";

/** What the page imports as `/test/openai.js`. */
const CLIENT = `
  export * from "openai";
  export { zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
  export { z } from "zod";
`;
type Client = typeof import("openai") & typeof import("openai/helpers/zod") & Pick<typeof import("zod"), "z">;
/** The module for formats. */
const GRAMMAR = "/ocelli/wasm/ocelli_grammar_bg.wasm";

inBrowsers("openai", (browser) => {
  let site: Site;
  let tab: Tab;
  before(async () => {
    site = await startSite();
    const built = await build({
      stdin: { contents: CLIENT, resolveDir: process.cwd() },
      bundle: true,
      format: "esm",
      write: false,
      platform: "browser",
      logLevel: "error",
    });
    site.replaced.set("/test/openai.js", built.outputFiles[0]?.contents as Uint8Array);
    tab = await browser().newTab();
    await tab.goto(`${site.url}test/blank.html`);
    await tab.run(async () => {
      const { Engine } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
      const { OpenAI } = (await import("/test/openai.js" as string)) as typeof import("openai");
      const engine = await Engine.load("/models/demo/", { aliases: ["gpt-4o"] });
      const client = new OpenAI(engine.openai());
      const about = (url: string) => ({
        model: "gpt-4o",
        temperature: 0,
        max_tokens: 40,
        messages: [
          {
            role: "user" as const,
            content: [
              { type: "image_url" as const, image_url: { url } },
              { type: "text" as const, text: "Describe this image." },
            ],
          },
        ],
      });
      const answers = new Map<string, Promise<string>>();
      const answerTo = (url: string) => {
        const asked = async () =>
          (await engine.chat.completions.create({ ...about(url), stream: false })).choices[0]?.message.content ?? "";
        const answer = answers.get(url) ?? asked();
        answers.set(url, answer);
        return answer;
      };
      const failure = async (promise: PromiseLike<unknown>): Promise<Failure> => {
        const thrown = await promise.then(
          () => ({ name: "none: it went well" }),
          (thrown: unknown) => thrown,
        );
        const { name, status, type, code, param } = thrown as Failure;
        return { name: name === "Error" ? (thrown as object).constructor.name : name, status, type, code, param };
      };
      Object.assign(window, { engine, client, about, answerTo, failure });
    });
  });
  after(async () => {
    await tab?.close();
    await site?.stop();
  });

  test("a chat with a picture, by address and as data, says what the engine says", async () => {
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

  test("streams, the stream helper and teed streams add up to the answer; usage comes last", async () => {
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

  test("log probabilities, several answers and models", async () => {
    const { completion, models, model } = await tab.run(async (url) => {
      const { client, about } = window as unknown as Kept;
      // The demo model is sure of itself: letters that it would not say make chance felt.
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

  test("answers have the format of a zod schema; the module for formats is loaded when a request wants one", async () => {
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
      const impossible = { name: "a", schema: { type: "array", items: { not: { type: "null" } } } };
      const stream = { ...about(url), stream: true, response_format: { type: "json_schema", json_schema: impossible } } as const;
      const text = { format: zodTextFormat(Scene, "scene") };
      // A getter, which does not leave the page by itself.
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

  test("tools are called with arguments that fit, whole and in streams", async () => {
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
      const refused = { ...parameters, properties: { shape: { not: { const: 1 } } } };
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

  test("the examples of docs/api.md run", async () => {
    const text = readFileSync(resolve("../docs/api.md"), "utf8");
    const examples = [...text.matchAll(/```js\n(.*?)```/gs)].map(([, code]) => (code ?? "").replace(/^import .*\n/gm, ""));
    const printed = await tab.run(
      async ({ examples, picture }) => {
        const { OpenAI } = (await import("/test/openai.js" as string)) as typeof import("openai");
        const { engine } = window as unknown as Kept;
        const printed: unknown[][] = [];
        for (const code of examples) {
          const lines: unknown[] = [];
          const console = { log: (...values: unknown[]) => lines.push(...values) };
          const run = new Function("engine", "OpenAI", "picture", "console", `return (async () => {${code}})();`);
          await (run(engine, OpenAI, picture, console) as Promise<void>);
          printed.push(lines);
        }
        return printed;
      },
      { examples, picture: PICTURE },
    );
    assert.equal(printed.length, 4);
    for (const lines of printed) assert.ok(lines.length > 0 && lines.some(Boolean), JSON.stringify(printed));
  });

  test("completions and responses", async () => {
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

  test("what is refused has status, type, code and param", async () => {
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
        address: await failure(client.embeddings.create({ model: "demo", input: "a" })),
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
      ["kept", 400, invalid, "unsupported_parameter", "previous_response_id"],
      // Its headers were sent at once.
      ["inStream", undefined, invalid, "context_length_exceeded", null],
    ]);
  });

  test("aborting before, while the picture is encoded, and in the stream ends the request alone", async () => {
    const { before, encoding, within, seen, answer, whole } = await tab.run(async (url) => {
      const { client, about, answerTo, failure } = window as unknown as Kept;
      const other = url.replace("01", "03");
      const before = await failure(client.chat.completions.create(about(url), { signal: AbortSignal.abort() }));
      const soon = new AbortController();
      setTimeout(() => soon.abort(), 30);
      const encoding = await failure(client.chat.completions.create(about(other), { signal: soon.signal }));
      let seen = 0;
      const stream = await client.chat.completions.create({ ...about(url), stream: true });
      // The client ends the loop without a word.
      for await (const chunk of stream) if (chunk.choices[0]?.delta.content && ++seen === 2) stream.controller.abort();
      const stop = new AbortController();
      const second = await client.chat.completions.create({ ...about(url), stream: true }, { signal: stop.signal });
      const reading = async () => {
        for await (const _ of second) stop.abort();
      };
      const within = await reading().then(
        () => "ended",
        (thrown: unknown) => String(thrown),
      );
      const answer = (await client.chat.completions.create(about(other))).choices[0]?.message.content;
      return { before: before.name, encoding: encoding.name, within, seen, answer, whole: await answerTo(other) };
    }, PICTURE);
    assert.deepEqual([before, encoding], ["APIUserAbortError", "APIUserAbortError"]);
    assert.equal(within, "ended");
    assert.ok(seen >= 2);
    assert.equal(answer, whole);
  });

  test("a stream that nobody reads stops the engine for itself, not for others", async () => {
    const { frames, other, text, whole, cancelled } = await tab.run(async (url) => {
      const { Engine } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
      const { about } = window as unknown as Kept;
      const worker = new Worker("/ocelli/worker.js", { type: "module" });
      let frames = 0;
      worker.addEventListener("message", ({ data }) => {
        if (data.kind === "event" && data.event.kind === "frame") frames++;
      });
      const engine = await Engine.load("/models/demo/", { worker });
      const long = {
        messages: [{ role: "user" as const, content: "Hello" }],
        temperature: 1,
        seed: 3,
        max_tokens: 60,
        logit_bias: { 2: -100 },
      };
      const whole = (await engine.chat.completions.create(long)).choices[0]?.message.content;
      const idle = await engine.chat.completions.create({ ...long, stream: true });
      const unread = await engine.fetch("/v1/chat/completions", { method: "POST", body: JSON.stringify({ ...long, stream: true }) });
      const other = await engine.chat.completions.create({ ...about(url), model: "demo", max_tokens: 3, stream: false });
      // Both have come to their bounds by now, or will before this is answered.
      await engine.chat.completions.create({ ...about(url), model: "demo", max_tokens: 1, stream: false });
      const held = frames;
      await unread.body?.cancel();
      const text = await idle.text();
      const cancelled = await engine.memoryNow().then(() => true);
      engine.unload();
      return { frames: held, other: other.choices[0]?.message.content, text, whole, cancelled };
    }, PICTURE);
    assert.ok(frames > 8 && frames <= 2 * 16 + 2, `${frames} frames`);
    assert.match(other ?? "", /\w/);
    assert.equal(text, whole);
    assert.ok(cancelled);
  });
});
