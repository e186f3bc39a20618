/** OpenAI's own client with `ocelli serve`: the calls of `openai.test.ts` over HTTP, without a browser. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { after, before, describe, test } from "node:test";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import OpenAI, { toFile } from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";
import { describe as describePicture, failures, objects, tools } from "./ai-calls.js";
import { assertDescribed, assertFailed, assertObjects, assertScene, assertTools } from "./ai-wanted.js";
import { WANTED } from "./client-page.js";
import { API_KEY, startServer, type ModelServer } from "./model-server.js";

/** The tests would run once for each browser; one run is enough. */
const isRun = process.env["OCELLI_BROWSER"] !== "Firefox";

const PICTURE_FILE = resolve("models/demo/gallery/scene-01.png");
const picture = `data:image/png;base64,${readFileSync(PICTURE_FILE).toString("base64")}`;

/** A line of a batch's answers. */
interface Answered {
  custom_id: string | null;
  response: { status_code: number; body: { choices?: { message: { content: string } }[] } } | null;
  error: { code: string } | null;
}

const parameters = {
  type: "object",
  properties: { shape: { enum: ["circle", "star"] }, count: { type: "integer", minimum: 0, maximum: 9 } },
  required: ["shape", "count"],
  additionalProperties: false,
};
const paint = { type: "function" as const, function: { name: "paint", description: "Paints shapes.", parameters } };

describe("serve", { skip: !isRun && "it runs with Chromium's tests" }, () => {
  let server: ModelServer;
  let client: OpenAI;
  const about = {
    model: "gpt-4o",
    temperature: 0,
    max_tokens: 40,
    messages: [
      {
        role: "user" as const,
        content: [
          { type: "image_url" as const, image_url: { url: picture } },
          { type: "text" as const, text: "Describe this image." },
        ],
      },
    ],
  };

  before(async () => {
    server = await startServer();
    client = new OpenAI({ baseURL: server.baseURL, apiKey: API_KEY, maxRetries: 0 });
  });
  after(() => server?.stop());

  test("answers match a zod schema", async () => {
    const Scene = z.object({ shape: z.enum(["circle", "star"]), count: z.number().int().min(0).max(20) });
    const scene = { ...about, temperature: 1.5, seed: 5, max_tokens: 200, response_format: zodResponseFormat(Scene, "scene") };
    const { choices } = await client.chat.completions.parse(scene);
    assert.equal(choices[0]?.finish_reason, "stop");
    assert.ok(choices[0].message.parsed && choices[0].message.parsed.count <= 20);
    const streamed = await client.chat.completions.stream(scene).finalChatCompletion();
    assert.deepEqual(streamed.choices[0]?.message.parsed, choices[0].message.parsed);
  });

  test("chats, streams, responses, log probabilities and several answers are correct", async () => {
    const whole = await client.chat.completions.create(about);
    assert.equal(whole.choices[0]?.message.content, WANTED);
    assert.match(whole._request_id ?? "", /^req_\w+$/);
    let streamed = "";
    for await (const { choices } of await client.chat.completions.create({ ...about, stream: true }))
      streamed += choices[0]?.delta.content ?? "";
    assert.equal(streamed, WANTED);
    assert.equal(await client.chat.completions.stream(about).finalContent(), WANTED);
    const input = [
      {
        role: "user" as const,
        content: [
          { type: "input_image" as const, image_url: picture, detail: "auto" as const },
          { type: "input_text" as const, text: "Describe this image." },
        ],
      },
    ];
    const response = await client.responses.stream({ model: "demo", input, temperature: 0 }).finalResponse();
    assert.equal(response.output_text, WANTED);
    const several = await client.chat.completions.create({ ...about, n: 2, logprobs: true, top_logprobs: 2 });
    assert.deepEqual(
      several.choices.map(({ message, logprobs }) => [message.content, logprobs?.content?.length]),
      Array(2).fill([WANTED, (several.usage?.completion_tokens ?? 0) / 2]),
    );
    const models = [];
    for await (const { id } of client.models.list()) models.push(id);
    assert.deepEqual(models, ["demo"]);
  });

  test("tools work with OpenAI's client: whole, in streams, in its own loop, with results", async () => {
    const required = { tool_choice: "required" as const, parallel_tool_calls: false };
    const asked = { ...about, tools: [paint], ...required };
    const whole = await client.chat.completions.create(asked);
    const choice = whole.choices[0];
    assert.deepEqual([choice?.finish_reason, choice?.message.content], ["tool_calls", null]);
    const call = choice?.message.tool_calls?.[0];
    assert.ok(call?.type === "function" && choice && call.function.name === "paint");
    assertScene(JSON.parse(call.function.arguments));
    const streamed = await client.chat.completions.stream(asked).finalChatCompletion();
    assert.deepEqual(
      streamed.choices[0]?.message.tool_calls?.map((call) => call.type === "function" && call.function.arguments),
      [call.function.arguments],
    );
    const result = { role: "tool" as const, tool_call_id: call.id, content: "Thanks!" };
    const after = await client.chat.completions.create({ ...about, tools: [paint], messages: [...about.messages, choice.message, result] });
    assert.ok((after.usage?.prompt_tokens_details?.cached_tokens ?? 0) > 0);
    const painted: unknown[] = [];
    const run = (value: object) => void painted.push(value);
    const parse = (text: string) => JSON.parse(text) as object;
    const runner = client.chat.completions.runTools({
      ...about,
      tools: [{ type: "function", function: { ...paint.function, function: run, parse } }],
      tool_choice: { type: "function", function: { name: "paint" } },
    });
    await runner.done();
    assert.equal(painted.length, 1);
    assertScene(painted[0]);
    const { type, function: definition } = paint;
    const input = [{ role: "user" as const, content: "Paint a star." }];
    const tools = [{ type, strict: true, ...definition }];
    const response = await client.responses.stream({ model: "demo", input, temperature: 0, tools, ...required }).finalResponse();
    const item = response.output[0];
    assert.ok(item?.type === "function_call" && response.output.length === 1);
    assertScene(JSON.parse(item.arguments));
  });

  test("the Vercel AI SDK works: descriptions, objects, tools, aborts and refusals", async () => {
    const provider = createOpenAICompatible({
      name: "ocelli",
      baseURL: client.baseURL,
      apiKey: API_KEY,
      includeUsage: true,
      supportsStructuredOutputs: true,
    });
    const model = provider("demo");
    assertDescribed(await describePicture(model, readFileSync(PICTURE_FILE)));
    assertObjects(await objects(model));
    assertTools(await tools(model));
    assertFailed(await failures(model, provider("gpt-5")));
  });

  test("files and batches are processed", async () => {
    const request = (id: string, body: object) => JSON.stringify({ custom_id: id, method: "POST", url: "/v1/chat/completions", body });
    const lines = [request("right", about), request("wrong", { ...about, n: 0 }), "no JSON"];
    const sent = await client.files.create({ file: await toFile(Buffer.from(lines.join("\n")), "album.jsonl"), purpose: "batch" });
    assert.deepEqual([sent.filename, sent.bytes, sent.status], ["album.jsonl", lines.join("\n").length, "processed"]);
    const begun = { input_file_id: sent.id, endpoint: "/v1/chat/completions", completion_window: "24h" } as const;
    let batch = await client.batches.create(begun);
    while (batch.status !== "completed") {
      assert.ok(["validating", "in_progress"].includes(batch.status), JSON.stringify(batch));
      await new Promise((resolve) => setTimeout(resolve, 100));
      batch = await client.batches.retrieve(batch.id);
    }
    assert.deepEqual(batch.request_counts, { total: 3, completed: 1, failed: 2 });
    const content = async (id: string | undefined) => {
      const text = await (await client.files.content(id ?? "")).text();
      return text
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as Answered);
    };
    const [right] = await content(batch.output_file_id);
    assert.deepEqual([right?.custom_id, right?.response?.body.choices?.[0]?.message.content], ["right", WANTED]);
    const refused = await content(batch.error_file_id);
    assert.deepEqual(
      refused.map(({ custom_id, response, error }) => [custom_id, response?.status_code ?? error?.code]),
      [
        [null, "invalid_json_line"],
        ["wrong", 400],
      ],
    );
    const listed = [];
    for await (const { id } of client.files.list({ limit: 1 })) listed.push(id);
    assert.equal(new Set(listed).size, 3);
    for await (const { id } of client.batches.list()) assert.equal(id, batch.id);
    assert.deepEqual(await client.files.delete(sent.id), { id: sent.id, object: "file", deleted: true });
    await assert.rejects(client.files.retrieve(sent.id), OpenAI.NotFoundError);
    await assert.rejects(client.batches.create(begun), OpenAI.BadRequestError);
  });

  test("refusals have status, type, code and param; aborted requests end", async () => {
    const failure = (promise: PromiseLike<unknown>) =>
      promise.then(
        () => assert.fail("it went well"),
        ({ status, type, code, param }: { status: number; type: string; code: string; param: string }) => [status, type, code, param],
      );
    const invalid = "invalid_request_error";
    const tools = [{ type: "custom" as const, custom: { name: "f" } }];
    const custom = client.chat.completions.create({ ...about, tools });
    assert.deepEqual(await failure(custom), [400, invalid, "unsupported_parameter", "tools[0].type"]);
    assert.deepEqual(await failure(client.chat.completions.create({ ...about, model: "x" })), [404, invalid, "model_not_found", "model"]);
    assert.deepEqual(await failure(client.moderations.create({ input: "a" })), [404, invalid, "unknown_url", null]);
    assert.deepEqual(await failure(client.embeddings.create({ model: "demo", input: "a" })), [
      400,
      invalid,
      "unsupported_parameter",
      "model",
    ]);
    const stranger = new OpenAI({ baseURL: client.baseURL, apiKey: "wrong", maxRetries: 0 });
    assert.deepEqual(await failure(stranger.models.retrieve("demo")), [401, invalid, "invalid_api_key", null]);
    // Without the token that ends answers: the stream would last for 900 tokens.
    const long = { ...about, temperature: 1, max_tokens: 900, logit_bias: { 2: -100 } };
    const stream = await client.chat.completions.create({ ...long, stream: true });
    let chunks = 0;
    for await (const _ of stream) if (++chunks === 2) stream.controller.abort();
    assert.ok(chunks < 450, `${chunks} chunks`);
    assert.equal((await client.chat.completions.create(about)).choices[0]?.message.content, WANTED);
  });
});
