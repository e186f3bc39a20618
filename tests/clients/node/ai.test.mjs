import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, isStepCount, jsonSchema, Output, streamText, tool } from "ai";
import { aborted, asked, DEMO, DESCRIBE, ENDLESS, features, GREETING, LOOK, PARAMETERS, PICTURE_BASE64, PICTURE_FILE, post, Scene, seenInAResult, TOOLS, WANTED } from "./common.mjs";

const provider = (server) => createOpenAICompatible({ name: "ocelli", baseURL: `${server}/v1`, supportsStructuredOutputs: true, includeUsage: true })("gpt-4o");
const anthropic = (server) => createAnthropic({ baseURL: `${server}/v1`, apiKey: "none" })("claude");
const about = [{ role: "user", content: [{ type: "file", mediaType: "image/png", data: readFileSync(PICTURE_FILE) }, { type: "text", text: DESCRIBE }] }];
const base = { temperature: 0, maxRetries: 0 };

globalThis.AI_SDK_LOG_WARNINGS = false;

features("ai, @ai-sdk/openai-compatible, @ai-sdk/anthropic (Node)", ["ai", "@ai-sdk/openai-compatible", "@ai-sdk/anthropic"], {
  async chat() {
    for (const model of [provider(DEMO), anthropic(DEMO)]) {
      const { text, finishReason } = await generateText({ ...base, model, prompt: "Hello" });
      assert.deepEqual([text, finishReason], [GREETING, "stop"]);
    }
    const cut = await generateText({ ...base, model: provider(DEMO), prompt: "Hello", maxOutputTokens: 3 });
    assert.deepEqual([cut.finishReason, cut.usage.outputTokens], ["length", 3]);
  },
  async stream() {
    for (const model of [provider(DEMO), anthropic(DEMO)]) {
      const stream = streamText({ ...base, model, prompt: "Hello" });
      const texts = [];
      for await (const text of stream.textStream) texts.push(text);
      assert.equal(texts.join(""), GREETING);
      assert.ok(texts.length >= 4 && texts.length <= (await stream.usage).outputTokens);
    }
  },
  async picture() {
    for (const model of [provider(DEMO), anthropic(DEMO)]) assert.equal((await generateText({ ...base, model, messages: about })).text, WANTED);
  },
  async tools() {
    for (const model of [provider(DEMO), anthropic(DEMO)]) {
      const painted = [];
      const paint = tool({
        description: "Paints shapes.",
        inputSchema: jsonSchema(PARAMETERS),
        execute: (scene) => painted.push(Scene.parse(scene)) && "Thanks!",
      });
      const { steps } = await generateText({
        ...base,
        model,
        prompt: "Hello",
        tools: { paint },
        maxOutputTokens: 60,
        stopWhen: isStepCount(2),
        prepareStep: ({ stepNumber }) => ({ toolChoice: stepNumber === 0 ? "required" : "none" }),
      });
      assert.deepEqual(steps.map(({ finishReason }) => finishReason), ["tool-calls", "stop"]);
      assert.ok(painted.length > 0 && steps[1].usage.inputTokens > steps[0].usage.outputTokens);
    }
  },
  async result_picture() {
    // The provider for OpenAI's API makes a text of the picture; Anthropic's does not.
    const look = tool({ description: LOOK.description, inputSchema: jsonSchema(LOOK.parameters) });
    const call = { type: "tool-call", toolCallId: "call_1", toolName: "look", input: {} };
    const value = [{ type: "file", mediaType: "image/png", data: { type: "data", data: PICTURE_BASE64 } }];
    const result = { type: "tool-result", toolCallId: "call_1", toolName: "look", output: { type: "content", value } };
    const messages = [...asked("Look."), { role: "assistant", content: [call] }, { role: "tool", content: [result] }];
    const { text, usage } = await generateText({ ...base, model: anthropic(TOOLS), messages, tools: { look }, maxOutputTokens: 12 });
    assert.deepEqual([text, usage.inputTokens], await seenInAResult());
  },
  async schema() {
    const output = Output.object({ schema: jsonSchema(PARAMETERS) });
    for (const model of [provider(DEMO), anthropic(DEMO)]) Scene.parse((await generateText({ ...base, model, prompt: "Hello", output })).output);
  },
  async abort() {
    for (const model of [provider(TOOLS), anthropic(TOOLS)])
      await aborted(async () => {
        const control = new AbortController();
        const stream = streamText({ ...base, model, prompt: "Hello", maxOutputTokens: ENDLESS, abortSignal: control.signal, onError: () => {} });
        const texts = stream.textStream[Symbol.asyncIterator]();
        await texts.next();
        return () => control.abort();
      });
  },
  async tokens() {
    const { count } = await post(DEMO, "/v1/tokenize", { messages: asked() });
    for (const model of [provider(DEMO), anthropic(DEMO)]) {
      const { usage } = await generateText({ ...base, model, prompt: "Hello" });
      assert.deepEqual([usage.inputTokens, usage.outputTokens, usage.totalTokens], [count, 8, count + 8]);
    }
  },
});
