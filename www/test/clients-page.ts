/** The part of `clients.test.ts` that runs in the page. */
import Anthropic from "@anthropic-ai/sdk";
import { zodOutputFormat } from "@anthropic-ai/sdk/helpers/zod";
import { AIMessage, HumanMessage, ToolMessage } from "@langchain/core/messages";
import { ChatOpenAI } from "@langchain/openai";
import { z } from "zod";
import { Engine } from "../src/index.js";

/** Text and tokens of an answer. */
interface Answered {
  text: string;
  promptTokens: number;
}

interface Scene {
  shape: string;
  count: number;
}

const Scene = z.strictObject({ shape: z.enum(["circle", "star"]), count: z.union([z.literal(1), z.literal(2), z.literal(3)]) });
const PARAMETERS = {
  type: "object" as const,
  properties: { shape: { enum: ["circle", "star"] }, count: { enum: [1, 2, 3] } },
  required: ["shape", "count"],
  additionalProperties: false,
};
const NONE = { type: "object" as const, properties: {}, additionalProperties: false };
const HELLO = { role: "user" as const, content: "Hello" };
/** The demo model writes on up to its context at this temperature. */
const LONG = { temperature: 2, max_tokens: 450 };

let demo: Engine;
/** A model with random weights, whose tools may return pictures. */
let seeing: Engine;

/** Loads the demo model, and the tiny checkpoint of Qwen3.5 with the tokens of tool calls and a longer context, both of which it lacks. */
export async function load(): Promise<void> {
  const options = { device: "cpu" as const, aliases: ["*"] };
  demo = await Engine.load("/models/demo/", options);
  const names = ["model.safetensors", "generation_config.json", "preprocessor_config.json", "chat_template.jinja"];
  const from = (name: string) => fetch(`/checkpoints/qwen3_5/${name}`);
  const files = await Promise.all(names.map(async (name) => new File([await (await from(name)).blob()], name)));
  const config = (await (await from("config.json")).json()) as { text_config: { max_position_embeddings: number } };
  config.text_config.max_position_embeddings = 4096;
  const tokenizer = (await (await from("tokenizer.json")).json()) as { added_tokens: object[] };
  for (const [index, content] of ["<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>"].entries()) {
    tokenizer.added_tokens.push({ id: 710 + index, content, special: false });
  }
  for (const [name, value] of Object.entries({ config, tokenizer })) files.push(new File([JSON.stringify(value)], `${name}.json`));
  seeing = await Engine.load({ safetensors: files }, options);
}

async function base64Of(url: string): Promise<string> {
  const bytes = new Uint8Array(await (await fetch(url)).arrayBuffer());
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}

const counted = async () => (await demo.tokenize({ messages: [HELLO] })).count;

function failure(thrown: unknown): string {
  return thrown instanceof Error ? `${thrown.name} ${thrown.constructor.name} ${thrown.message}` : String(thrown);
}

const ofDemo = () => new Anthropic(demo.anthropic());
const greedy = { model: "claude", max_tokens: 60, temperature: 0 };
const textOf = ({ content }: Anthropic.Message) => content.map((part) => (part.type === "text" ? part.text : "")).join("");
const promptOf = ({ usage }: Anthropic.Message) => usage.input_tokens + (usage.cache_read_input_tokens ?? 0);

export const anthropic = {
  async chats(url: string) {
    const client = ofDemo();
    const message = await client.messages.create({ ...greedy, messages: [HELLO] });
    const cut = await client.messages.create({ ...greedy, messages: [HELLO], max_tokens: 3 });
    const pieces: string[] = [];
    const stream = client.messages.stream({ ...greedy, messages: [HELLO] }).on("text", (text) => pieces.push(text));
    await stream.finalMessage();
    const source = { type: "base64" as const, media_type: "image/png" as const, data: await base64Of(url) };
    const content = [
      { type: "image" as const, source },
      { type: "text" as const, text: "Describe this image." },
    ];
    const described = await client.messages.create({ ...greedy, messages: [{ role: "user", content }] });
    const { input_tokens } = await client.messages.countTokens({ model: "claude", messages: [HELLO] });
    const promptTokens = promptOf(message) === input_tokens ? input_tokens : -1;
    const cutTokens = cut.stop_reason === "max_tokens" ? cut.usage.output_tokens : -1;
    return { text: textOf(message), cutTokens, pieces, described: textOf(described), promptTokens, counted: await counted() };
  },

  async tools(url: string) {
    const client = ofDemo();
    const tools = [{ name: "paint", description: "Paints shapes.", input_schema: PARAMETERS }];
    const choice = { type: "any" as const, disable_parallel_tool_use: true };
    const message = await client.messages.create({ ...greedy, messages: [HELLO], tools, tool_choice: choice });
    const call = message.content.at(-1);
    if (call?.type !== "tool_use") throw new Error(`no call: ${JSON.stringify(message)}`);
    const result = { type: "tool_result" as const, tool_use_id: call.id, content: "Thanks!" };
    const turns = [HELLO, { role: "assistant" as const, content: message.content }, { role: "user" as const, content: [result] }];
    const after = await client.messages.create({ ...greedy, messages: turns, tools });
    const parsed = await client.messages.parse({ ...greedy, messages: [HELLO], output_config: { format: zodOutputFormat(Scene) } });
    const source = { type: "base64" as const, media_type: "image/png" as const, data: await base64Of(url) };
    return {
      name: call.name,
      args: call.input as Scene,
      object: parsed.parsed_output as Scene,
      after: textOf(after),
      seen: await anthropic.looked([{ type: "image", source }]),
      unseen: await anthropic.looked("Nothing."),
    };
  },

  /** The answer to the result of a tool. */
  async looked(content: NonNullable<Anthropic.ToolResultBlockParam["content"]>): Promise<Answered> {
    const call = { type: "tool_use" as const, id: "call_1", name: "look", input: {} };
    const result = { type: "tool_result" as const, tool_use_id: "call_1", content };
    const turns = [
      { role: "assistant" as const, content: [call] },
      { role: "user" as const, content: [result] },
    ];
    const tools = [{ name: "look", description: "Takes a picture.", input_schema: NONE }];
    const client = new Anthropic(seeing.anthropic());
    const message = await client.messages.create({ ...greedy, messages: [HELLO, ...turns], tools, max_tokens: 12 });
    return { text: textOf(message), promptTokens: promptOf(message) };
  },

  async abort() {
    const client = ofDemo();
    let pieces = 0;
    const stream = client.messages.stream({ ...greedy, ...LONG, messages: [HELLO] });
    stream.on("text", () => ++pieces === 3 && stream.abort());
    const name = await stream.done().then(() => "none", failure);
    return { name, pieces, next: textOf(await client.messages.create({ ...greedy, messages: [HELLO] })) };
  },
};

export async function refusals() {
  const client = ofDemo();
  const words = { role: "user" as const, content: "word ".repeat(4000) };
  const told = [];
  for (const more of [{ messages: [words] }, { messages: [HELLO], max_tokens: -1 }]) {
    const thrown: unknown = await client.messages.create({ ...greedy, ...more }).catch((thrown: unknown) => thrown);
    const { status, error } = thrown as InstanceType<typeof Anthropic.APIError>;
    const isNamed = thrown instanceof Anthropic.BadRequestError;
    told.push({ isNamed, status, type: (error as { error: { type: string } }).error.type });
  }
  return told;
}

const chatModel = (more: object = {}, engine = demo) => {
  const { apiKey, ...configuration } = engine.openai();
  return new ChatOpenAI({ configuration, apiKey, model: engine.model, maxRetries: 0, temperature: 0, ...more });
};
/** The client's types lose the kind of its messages. */
const usageOf = (message: { usage_metadata?: unknown }) => message.usage_metadata as { input_tokens: number; output_tokens: number };
const functionOf = (name: string, parameters: object) => ({ type: "function" as const, function: { name, description: name, parameters } });

export const langchain = {
  async chats(url: string) {
    const message = await chatModel().invoke("Hello");
    const cut = await chatModel({ maxTokens: 3 }).invoke("Hello");
    const pieces: string[] = [];
    for await (const { text } of await chatModel().stream("Hello")) if (text) pieces.push(text);
    const content = [
      { type: "image_url", image_url: { url } },
      { type: "text", text: "Describe this image." },
    ];
    const described = await chatModel().invoke([new HumanMessage({ content })]);
    return {
      text: message.text,
      cutTokens: usageOf(cut).output_tokens,
      pieces,
      described: described.text,
      promptTokens: usageOf(message).input_tokens,
      counted: await counted(),
    };
  },

  async tools(url: string) {
    const paint = [functionOf("paint", PARAMETERS)];
    const message = await chatModel().bindTools(paint, { tool_choice: "required", parallel_tool_calls: false }).invoke("Hello");
    const [call] = message.tool_calls ?? [];
    const turns = [new HumanMessage("Hello"), message, new ToolMessage({ content: "Thanks!", tool_call_id: call?.id ?? "" })];
    const after = await chatModel().bindTools(paint).invoke(turns);
    const object = await chatModel({ maxTokens: 100 }).withStructuredOutput(Scene, { name: "scene", method: "jsonSchema" }).invoke("Hello");
    return {
      name: call?.name,
      args: call?.args as Scene,
      object: object as Scene,
      after: after.text,
      seen: await langchain.looked([{ type: "image_url", image_url: { url: `data:image/png;base64,${await base64Of(url)}` } }]),
      unseen: await langchain.looked("Nothing."),
    };
  },

  /** The answer to the result of a tool. */
  async looked(content: string | { type: string; image_url: { url: string } }[]): Promise<Answered> {
    const call = new AIMessage({ content: "", tool_calls: [{ name: "look", args: {}, id: "call_1" }] });
    const turns = [new HumanMessage("Look."), call, new ToolMessage({ content, tool_call_id: "call_1" })];
    const message = await chatModel({ maxTokens: 12 }, seeing)
      .bindTools([functionOf("look", NONE)])
      .invoke(turns);
    return { text: message.text, promptTokens: usageOf(message).input_tokens };
  },

  async abort() {
    const control = new AbortController();
    let pieces = 0;
    const read = async () => {
      const model = chatModel({ temperature: LONG.temperature, maxTokens: LONG.max_tokens });
      for await (const _ of await model.stream("Hello", { signal: control.signal })) if (++pieces === 3) control.abort();
      return "none";
    };
    const name = await read().catch(failure);
    return { name, pieces, next: (await chatModel().invoke("Hello")).text };
  },
};
