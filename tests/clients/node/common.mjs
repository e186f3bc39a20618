/** Requests without any client, whose answers the clients must show, and the pictures, tools and schemas of the tests. `python/common.py` is its twin. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";

export const ROOT = new URL("../../../", import.meta.url).pathname;
export const PICTURE_FILE = `${ROOT}www/models/demo/gallery/scene-01.png`;
export const PICTURE_BASE64 = readFileSync(PICTURE_FILE).toString("base64");
export const PICTURE = `data:image/png;base64,${PICTURE_BASE64}`;
export const DESCRIBE = "Describe this image.";

/** Greedy answers of the demo model. */
export const GREETING = "Hello! Please show me a picture.";
export const WANTED = 'An orange circle above the purple word "SEA" on a gray background.';

/** Greedy decoding without drafts takes seconds for these tokens, so an answer that ends earlier was aborted. */
export const ENDLESS = 3000;
/** Servers: the demo model, and the model whose tools may return pictures. */
export const { OCELLI_DEMO: DEMO, OCELLI_TOOLS: TOOLS, OCELLI_COMMAND: COMMAND } = process.env;

export const Scene = z.strictObject({ shape: z.enum(["circle", "star"]), count: z.union([z.literal(1), z.literal(2), z.literal(3)]) });
export const PARAMETERS = {
  type: "object",
  properties: { shape: { enum: ["circle", "star"] }, count: { enum: [1, 2, 3] } },
  required: ["shape", "count"],
  additionalProperties: false,
};
export const PAINT = { name: "paint", description: "Paints shapes.", parameters: PARAMETERS };
export const LOOK = { name: "look", description: "Takes a picture.", parameters: { additionalProperties: false, properties: {}, type: "object" } };

/** A tool as chats have it. */
export const functionOf = (tool) => ({ type: "function", function: tool });
export const asked = (text = "Hello") => [{ role: "user", content: text }];
export const shown = { type: "image_url", image_url: { url: PICTURE } };

/** A call of a tool and its result. */
export function called(tool, args, content, id = "call_1") {
  const calls = [{ id, type: "function", function: { name: tool, arguments: args } }];
  return [
    { role: "assistant", content: null, tool_calls: calls },
    { role: "tool", tool_call_id: id, content },
  ];
}

export async function post(server, path, body) {
  const response = await fetch(server + path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  assert.equal(response.status, 200);
  return response.json();
}

/** The text of a greedy answer, and the number of tokens of its prompt. */
export async function chat(server, body) {
  const { choices, usage } = await post(server, "/v1/chat/completions", { temperature: 0, ...body });
  return [choices[0].message.content, usage.prompt_tokens];
}

/** The answer to a tool's result that is a picture, which differs from the answer to a text. */
export async function seenInAResult() {
  const ask = (result) => chat(TOOLS, { messages: [...asked("Look."), ...called("look", "{}", result)], tools: [functionOf(LOOK)], max_tokens: 12 });
  const [picture, text] = [await ask([shown]), await ask("Nothing.")];
  assert.ok(picture[0] !== text[0] && picture[1] > text[1]);
  return picture;
}

async function metric(name) {
  const lines = (await (await fetch(`${TOOLS}/metrics`)).text()).split("\n");
  return Number(lines.find((line) => line.startsWith(`${name} `)).split(" ")[1]);
}

/** Begins an answer of ENDLESS tokens by `begin`, which returns how to abort it, and checks that it is computed no further after that. */
export async function aborted(begin) {
  const before = await metric("ocelli_completion_tokens_total");
  const abort = await begin();
  assert.equal(await metric("ocelli_requests_active"), 1, "the answer is being computed");
  await abort();
  for (const began = performance.now(); await metric("ocelli_requests_active"); await sleep(20))
    assert.ok(performance.now() - began < 60_000, "the answer is still computed a minute after the abort");
  assert.ok((await metric("ocelli_completion_tokens_total")) - before < ENDLESS, "the answer was completed");
}

/** Tests of a client, which consists of `packages`, by feature, recorded for the table in docs/clients.md. */
export function features(client, packages, tests) {
  const versionOf = (name) => JSON.parse(readFileSync(new URL(`node_modules/${name}/package.json`, import.meta.url))).version;
  const row = { client, version: packages.map(versionOf).join(", "), features: {}, absent: {} };
  for (const [feature, body] of Object.entries(tests)) {
    row.features[feature] = false;
    test(`${client}: ${feature}`, async () => {
      await body();
      row.features[feature] = true;
    });
  }
  after(() => writeFileSync(`${process.env.OCELLI_RESULTS}/node-${packages[0].replaceAll("/", "-")}.json`, JSON.stringify([row], null, 1)));
}
