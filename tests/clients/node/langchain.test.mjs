import assert from "node:assert/strict";
import { AIMessage, HumanMessage, ToolMessage } from "@langchain/core/messages";
import { ChatOpenAI } from "@langchain/openai";
import { aborted, asked, called, chat, DEMO, DESCRIBE, ENDLESS, features, functionOf, GREETING, LOOK, PAINT, PICTURE_BASE64, post, Scene, seenInAResult, shown, TOOLS, WANTED } from "./common.mjs";

const model = (server = DEMO, more = {}) =>
  new ChatOpenAI({ configuration: { baseURL: `${server}/v1` }, apiKey: "none", model: "gpt-4o", maxRetries: 0, temperature: 0, ...more });

features("@langchain/openai (Node)", ["@langchain/openai"], {
  async chat() {
    const message = await model().invoke("Hello");
    assert.deepEqual([message.content, message.response_metadata.finish_reason], [GREETING, "stop"]);
    const cut = await model(DEMO, { maxTokens: 3 }).invoke("Hello");
    assert.deepEqual([cut.response_metadata.finish_reason, cut.usage_metadata.output_tokens], ["length", 3]);
    assert.equal((await model(DEMO, { useResponsesApi: true }).invoke("Hello")).text, GREETING);
  },
  async stream() {
    const texts = [];
    let usage;
    for await (const chunk of await model().stream("Hello")) {
      if (chunk.content) texts.push(chunk.content);
      usage = chunk.usage_metadata ?? usage;
    }
    assert.equal(texts.join(""), GREETING);
    assert.ok(texts.length >= 4 && texts.length <= usage.output_tokens);
  },
  async picture() {
    const content = [
      { type: "image", source_type: "base64", mime_type: "image/png", data: PICTURE_BASE64 },
      { type: "text", text: DESCRIBE },
    ];
    assert.equal((await model().invoke([new HumanMessage({ content })])).content, WANTED);
  },
  async tools() {
    const bound = model().bindTools([functionOf(PAINT)], { tool_choice: "required", parallel_tool_calls: false });
    const message = await bound.invoke("Hello");
    const [call] = message.tool_calls;
    assert.deepEqual([message.response_metadata.finish_reason, call.name], ["tool_calls", "paint"]);
    Scene.parse(call.args);
    const turns = [new HumanMessage("Hello"), message, new ToolMessage({ content: "Thanks!", tool_call_id: call.id })];
    const after = await model().bindTools([functionOf(PAINT)]).invoke(turns);
    const messages = [...asked(), ...called("paint", JSON.stringify(call.args), "Thanks!")];
    const wanted = await chat(DEMO, { messages, tools: [functionOf(PAINT)] });
    assert.deepEqual([after.content, after.usage_metadata.input_tokens], wanted);
  },
  async result_picture() {
    const call = new AIMessage({ content: "", tool_calls: [{ name: "look", args: {}, id: "call_1" }] });
    const turns = [new HumanMessage("Look."), call, new ToolMessage({ content: [shown], tool_call_id: "call_1" })];
    const message = await model(TOOLS, { maxTokens: 12 }).bindTools([functionOf(LOOK)]).invoke(turns);
    assert.deepEqual([message.content, message.usage_metadata.input_tokens], await seenInAResult());
  },
  async schema() {
    for (const method of ["jsonSchema", "functionCalling"])
      Scene.parse(await model(DEMO, { maxTokens: 100 }).withStructuredOutput(Scene, { name: "scene", method }).invoke("Hello"));
  },
  async abort() {
    await aborted(async () => {
      const control = new AbortController();
      const stream = await model(TOOLS, { maxTokens: ENDLESS }).stream("Hello", { signal: control.signal });
      await stream.next();
      return () => control.abort();
    });
  },
  async tokens() {
    const { usage_metadata: usage } = await model().invoke("Hello");
    const { count } = await post(DEMO, "/v1/tokenize", { messages: asked() });
    assert.deepEqual([usage.input_tokens, usage.output_tokens, usage.total_tokens], [count, 8, count + 8]);
  },
});
