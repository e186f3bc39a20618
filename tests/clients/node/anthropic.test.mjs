import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";
import { zodOutputFormat } from "@anthropic-ai/sdk/helpers/zod";
import { aborted, asked, called, chat, DEMO, DESCRIBE, ENDLESS, features, functionOf, GREETING, LOOK, PAINT, PICTURE_BASE64, post, Scene, seenInAResult, TOOLS, WANTED } from "./common.mjs";

const demo = new Anthropic({ baseURL: DEMO, apiKey: "none", maxRetries: 0 });
const tools = new Anthropic({ baseURL: TOOLS, apiKey: "none", maxRetries: 0 });
const greedy = { model: "claude", max_tokens: 60, temperature: 0 };
const picture = { type: "image", source: { type: "base64", media_type: "image/png", data: PICTURE_BASE64 } };
const toolOf = ({ name, description, parameters }) => ({ name, description, input_schema: parameters });
const promptOf = ({ input_tokens, cache_read_input_tokens }) => input_tokens + cache_read_input_tokens;

features("@anthropic-ai/sdk (Node)", ["@anthropic-ai/sdk"], {
  async chat() {
    const message = await demo.messages.create({ ...greedy, messages: asked() });
    assert.deepEqual([message.content[0].text, message.stop_reason], [GREETING, "end_turn"]);
    const cut = await demo.messages.create({ ...greedy, messages: asked(), max_tokens: 3 });
    assert.deepEqual([cut.stop_reason, cut.usage.output_tokens], ["max_tokens", 3]);
  },
  async stream() {
    const texts = [];
    const stream = demo.messages.stream({ ...greedy, messages: asked() }).on("text", (text) => texts.push(text));
    const { content, usage } = await stream.finalMessage();
    assert.deepEqual([texts.join(""), content[0].text], [GREETING, GREETING]);
    assert.ok(texts.length >= 4 && texts.length <= usage.output_tokens);
  },
  async picture() {
    const content = [picture, { type: "text", text: DESCRIBE }];
    assert.equal((await demo.messages.create({ ...greedy, messages: [{ role: "user", content }] })).content[0].text, WANTED);
  },
  async tools() {
    const options = { ...greedy, tools: [toolOf(PAINT)] };
    const choice = { type: "any", disable_parallel_tool_use: true };
    const message = await demo.messages.create({ ...options, messages: asked(), tool_choice: choice });
    const call = message.content.at(-1);
    assert.deepEqual([message.stop_reason, call.type, call.name], ["tool_use", "tool_use", "paint"]);
    Scene.parse(call.input);
    const result = { type: "tool_result", tool_use_id: call.id, content: "Thanks!" };
    const turns = [...asked(), { role: "assistant", content: message.content }, { role: "user", content: [result] }];
    const after = await demo.messages.create({ ...options, messages: turns });
    // With the spaces that the model wrote.
    const args = `{"shape": "${call.input.shape}", "count": ${call.input.count}}`;
    const wanted = await chat(DEMO, { messages: [...asked(), ...called("paint", args, "Thanks!")], tools: [functionOf(PAINT)] });
    assert.deepEqual([after.content[0].text, promptOf(after.usage)], wanted);
    const streamed = await demo.messages.stream({ ...options, messages: asked(), tool_choice: choice }).finalMessage();
    assert.deepEqual(streamed.content.at(-1).input, call.input);
  },
  async result_picture() {
    const call = { type: "tool_use", id: "call_1", name: "look", input: {} };
    const result = { type: "tool_result", tool_use_id: "call_1", content: [picture] };
    const messages = [...asked("Look."), { role: "assistant", content: [call] }, { role: "user", content: [result] }];
    const { content, usage } = await tools.messages.create({ ...greedy, messages, tools: [toolOf(LOOK)], max_tokens: 12 });
    assert.deepEqual([content[0].text, promptOf(usage)], await seenInAResult());
  },
  async schema() {
    const message = await demo.messages.parse({ ...greedy, messages: asked(), output_config: { format: zodOutputFormat(Scene) } });
    Scene.parse(message.parsed_output);
  },
  async abort() {
    await aborted(async () => {
      const stream = tools.messages.stream({ ...greedy, messages: asked(), max_tokens: ENDLESS });
      // Its promise is rejected by the abort.
      stream.done().catch(() => {});
      await new Promise((resolve) => stream.once("text", resolve));
      return () => stream.abort();
    });
  },
  async tokens() {
    const counted = (await demo.messages.countTokens({ model: "claude", messages: asked() })).input_tokens;
    const { usage } = await demo.messages.create({ ...greedy, messages: asked() });
    assert.deepEqual([counted, usage.output_tokens], [promptOf(usage), 8]);
    assert.equal(counted, (await post(DEMO, "/v1/tokenize", { messages: asked() })).count);
  },
});
