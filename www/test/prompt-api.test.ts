/** Sessions of the Prompt API over an engine that records its requests: what is sent, kept and dropped. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ocelliError } from "../src/errors.js";
import type { ChatMessage, Engine } from "../src/index.js";
import { languageModel, type Prompt } from "../src/prompt-api/index.js";
import { Session } from "../src/prompt-api/session.js";
import type { CoreOptions } from "../src/prompt-api/types.js";

/** Tokens that fit: one for each message. */
const WINDOW = 6;

/** An engine that answers "yes" and records the messages of each request. */
function recorder(): { engine: Engine; sent: ChatMessage[][] } {
  const sent: ChatMessage[][] = [];
  const overflow = (tokens: number) => ocelliError("context-overflow", "too long", { tokens, context: WINDOW });
  const create = async ({ messages }: { messages: ChatMessage[] }) => {
    if (messages.length >= WINDOW) throw overflow(messages.length);
    sent.push(messages);
    return (async function* () {
      yield { choices: [{ index: 0, delta: { content: "yes" }, finish_reason: "stop" }] };
      yield { choices: [], usage: { total_tokens: messages.length + 1 } };
    })();
  };
  const tokenize = async ({ messages }: { messages: ChatMessage[] }) => ({ count: messages.length, max_model_len: WINDOW });
  return { engine: { chat: { completions: { create } }, tokenize } as unknown as Engine, sent };
}

function open(engine: Engine, initial: Prompt = [], options: CoreOptions = {}): Promise<Session> {
  return Session.open(engine, options, initial);
}

const user = (content: string) => ({ role: "user" as const, content });
const assistant = (content: string) => ({ role: "assistant" as const, content });
const system = { role: "system" as const, content: "Be brief." };

test("a last message of the assistant is continued only if it is a prefix", async () => {
  const { engine, sent } = recorder();
  const session = await open(engine);
  assert.equal(await session.prompt([user("a"), { ...assistant("Oh "), prefix: true }]), "yes");
  await session.prompt([user("b"), assistant("no")]);
  await session.prompt("c");
  const first = [user("a"), assistant("Oh ")];
  assert.deepEqual(sent[0], first);
  const second = [user("a"), assistant("Oh yes"), user("b"), assistant("no"), user("")];
  assert.deepEqual(sent[1], second, "an answer of its own");
  assert.deepEqual(sent[2], [...second.slice(2), assistant("yes"), user("c")], "the oldest turn was dropped");
});

test("a system prompt is kept for ever, however it was given", async () => {
  const fill = async (session: Session, sent: ChatMessage[][]) => {
    for (let turn = 0; turn < 5; turn++) await session.prompt(`${turn}`);
    return sent.at(-1)?.[0];
  };
  const given = recorder();
  assert.deepEqual(await fill(await open(given.engine, [system]), given.sent), system);
  const appended = recorder();
  const session = await open(appended.engine);
  await session.append([system]);
  assert.deepEqual(await fill(session, appended.sent), system);
  const asked = recorder();
  const first = await open(asked.engine);
  await first.prompt([system, user("a")]);
  const copy = await first.clone();
  assert.deepEqual([await fill(first, asked.sent), await fill(copy, asked.sent)], [system, system]);
  await assert.rejects(first.append([system]), TypeError, "there is one already");
});

test("older names are the newer ones, and events come under both", async () => {
  const { engine } = recorder();
  const session = await open(engine, [user("a")], { topK: 7 });
  let events = "";
  session.onquotaoverflow = () => {
    events += "quota ";
  };
  session.addEventListener("contextoverflow", () => {
    events += "context ";
  });
  for (let turn = 0; turn < 3; turn++) await session.prompt("b");
  assert.ok(events.startsWith("context quota "), events);
  assert.deepEqual([session.inputUsage, session.inputQuota], [session.contextUsage, session.contextWindow]);
  assert.equal(await session.measureInputUsage("c"), await session.measureContextUsage("c"));
  assert.deepEqual([session.topK, session.temperature], [7, 1]);
  const params = await languageModel("/nowhere/").params();
  assert.deepEqual(params, { defaultTopK: 3, maxTopK: 128, defaultTemperature: 1, maxTemperature: 2 });
});

test("an empty list of messages is a SyntaxError", async () => {
  const session = await open(recorder().engine);
  await assert.rejects(session.prompt([]), { name: "SyntaxError" });
  await assert.rejects(session.append([]), { name: "SyntaxError" });
});
