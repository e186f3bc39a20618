import assert from "node:assert/strict";
import { createReadStream } from "node:fs";
import OpenAI from "openai";
import { zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { aborted, asked, called, chat, DEMO, DESCRIBE, ENDLESS, features, functionOf, GREETING, LOOK, PAINT, PICTURE, PICTURE_FILE, post, Scene, seenInAResult, shown, TOOLS, WANTED } from "./common.mjs";

const demo = new OpenAI({ baseURL: `${DEMO}/v1`, apiKey: "none", maxRetries: 0 });
const tools = new OpenAI({ baseURL: `${TOOLS}/v1`, apiKey: "none", maxRetries: 0 });
const greedy = { model: "gpt-4o", temperature: 0 };

features("openai (Node)", ["openai"], {
  async chat() {
    const { choices, model } = await demo.chat.completions.create({ ...greedy, messages: asked() });
    assert.deepEqual([choices[0].message.content, choices[0].finish_reason, model], [GREETING, "stop", "demo"]);
    const response = await demo.responses.create({ ...greedy, input: "Hello" });
    assert.deepEqual([response.output_text, response.status], [GREETING, "completed"]);
    const later = await demo.responses.create({ ...greedy, input: "Hello", previous_response_id: response.id });
    const turns = [...asked(), { role: "assistant", content: GREETING }, ...asked()];
    assert.deepEqual([later.output_text, later.usage.input_tokens], await chat(DEMO, { messages: turns }));
    const cut = await demo.chat.completions.create({ ...greedy, messages: asked(), max_tokens: 3 });
    assert.deepEqual([cut.choices[0].finish_reason, cut.usage.completion_tokens], ["length", 3]);
  },
  async stream() {
    const texts = [];
    let usage;
    const options = { stream: true, stream_options: { include_usage: true } };
    for await (const chunk of await demo.chat.completions.create({ ...greedy, ...options, messages: asked() })) {
      if (chunk.choices[0]?.delta.content) texts.push(chunk.choices[0].delta.content);
      usage = chunk.usage ?? usage;
    }
    assert.equal(texts.join(""), GREETING);
    assert.ok(texts.length >= 4 && texts.length <= usage.completion_tokens);
    assert.equal((await demo.responses.stream({ ...greedy, input: "Hello" }).finalResponse()).output_text, GREETING);
  },
  async picture() {
    const content = [shown, { type: "text", text: DESCRIBE }];
    const { choices } = await demo.chat.completions.create({ ...greedy, messages: [{ role: "user", content }] });
    assert.equal(choices[0].message.content, WANTED);
    const file = await demo.files.create({ file: createReadStream(PICTURE_FILE), purpose: "vision" });
    for (const picture of [{ image_url: PICTURE }, { file_id: file.id }]) {
      const parts = [{ type: "input_image", detail: "auto", ...picture }, { type: "input_text", text: DESCRIBE }];
      assert.equal((await demo.responses.create({ ...greedy, input: [{ role: "user", content: parts }] })).output_text, WANTED);
    }
  },
  async tools() {
    const options = { ...greedy, tools: [functionOf(PAINT)] };
    const required = { tool_choice: "required", parallel_tool_calls: false };
    const { choices } = await demo.chat.completions.create({ ...options, ...required, messages: asked() });
    const [call] = choices[0].message.tool_calls;
    assert.deepEqual([choices[0].finish_reason, call.function.name], ["tool_calls", "paint"]);
    Scene.parse(JSON.parse(call.function.arguments));
    const result = { role: "tool", tool_call_id: call.id, content: "Thanks!" };
    const after = await demo.chat.completions.create({ ...options, messages: [...asked(), choices[0].message, result] });
    const turns = [...asked(), ...called("paint", call.function.arguments, "Thanks!")];
    const wanted = await chat(DEMO, { messages: turns, tools: [functionOf(PAINT)] });
    assert.deepEqual([after.choices[0].message.content, after.usage.prompt_tokens], wanted);
    const painted = [];
    const painter = functionOf({ ...PAINT, function: (scene) => painted.push(scene) && "Thanks!", parse: JSON.parse });
    await demo.chat.completions.runTools({ ...greedy, ...required, messages: asked(), tools: [painter] }, { maxChatCompletions: 1 }).done();
    assert.deepEqual(painted, [JSON.parse(call.function.arguments)]);
  },
  async result_picture() {
    const messages = [...asked("Look."), ...called("look", "{}", [shown])];
    const { choices, usage } = await tools.chat.completions.create({ ...greedy, messages, tools: [functionOf(LOOK)], max_tokens: 12 });
    assert.deepEqual([choices[0].message.content, usage.prompt_tokens], await seenInAResult());
    const call = { type: "function_call", call_id: "call_1", name: "look", arguments: "{}" };
    const output = { type: "function_call_output", call_id: "call_1", output: [{ type: "input_image", image_url: PICTURE, detail: "auto" }] };
    const options = { ...greedy, tools: [{ type: "function", strict: false, ...LOOK }], max_output_tokens: 12 };
    const response = await tools.responses.create({ ...options, input: [...asked("Look."), call, output] });
    assert.deepEqual([response.output_text, response.usage.input_tokens], await seenInAResult());
  },
  async schema() {
    const chatted = await demo.chat.completions.parse({ ...greedy, messages: asked(), response_format: zodResponseFormat(Scene, "scene") });
    Scene.parse(chatted.choices[0].message.parsed);
    Scene.parse((await demo.responses.parse({ ...greedy, input: "Hello", text: { format: zodTextFormat(Scene, "scene") } })).output_parsed);
  },
  async abort() {
    await aborted(async () => {
      const stream = await tools.chat.completions.create({ ...greedy, messages: asked(), max_tokens: ENDLESS, stream: true });
      await stream[Symbol.asyncIterator]().next();
      return () => stream.controller.abort();
    });
  },
  async tokens() {
    const counted = (await demo.responses.inputTokens.count({ model: "x", input: "Hello" })).input_tokens;
    const { usage } = await demo.chat.completions.create({ ...greedy, messages: asked() });
    assert.equal(counted, usage.prompt_tokens);
    assert.equal(counted, (await post(DEMO, "/v1/tokenize", { messages: asked() })).count);
    assert.deepEqual([usage.completion_tokens, usage.total_tokens], [8, counted + 8]);
  },
});
