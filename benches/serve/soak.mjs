/**
 * Mixed traffic of 16 clients against one server for an hour: memory, handles and queue are sampled, and every greedy answer is compared
 * with the one that the server gave before the traffic.
 * `node soak.mjs --ocelli COMMAND --package PKG --out DIR`, as `./build.sh bench --soak` calls it; writes `soak.json` and `soak.md`, prints
 * the table, and fails if an answer is wrong or memory or handles grow.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { machine } from "../../www/bench/processors.mjs";
import { CHAT, endless, median, random, Server, shown, table } from "./server.mjs";

const { values: options } = parseArgs({
  options: {
    ocelli: { type: "string" },
    package: { type: "string" },
    out: { type: "string" },
    minutes: { type: "string", default: "60" },
    clients: { type: "string", default: "16" },
    /** Longest pause of a client between two requests, in milliseconds. */
    pause: { type: "string", default: "500" },
    /** Seconds between two samples. */
    every: { type: "string", default: "10" },
    seed: { type: "string", default: "1" },
    threads: { type: "string", default: "1" },
  },
});
const minutes = Number(options.minutes);

/** Growth of the median resident memory from the third to the last quarter, beyond which memory is not flat. */
const MOST_GROWTH = 0.02;

const gallery = new URL("../../www/models/demo/gallery/", import.meta.url);
const scenes = [1, 2, 3, 4, 5, 6].map((number) => readFileSync(new URL(`scene-0${number}.png`, gallery)));
const colours = { type: "object", additionalProperties: false, required: ["colour", "count"], properties: { colour: { enum: ["red", "blue"] }, count: { type: "integer", minimum: 0, maximum: 99 } } };
const describe = (scene) => [{ role: "user", content: [shown(scene), { type: "text", text: "Describe this image." }] }];
const greedy = (content, more = {}) => ({ messages: [{ role: "user", content }], temperature: 0, max_tokens: 30, ...more });

/** Requests with one right answer each. */
const questions = [
  ...scenes.map((scene, number) => ({ name: `picture ${number}`, body: { messages: describe(scene), temperature: 0, max_tokens: 40 } })),
  ...["Hello", "What is red?", "One two three", "Where is the circle?"].map((text) => ({ name: `chat "${text}"`, body: greedy(text) })),
  { name: "long answer", body: endless(200) },
  { name: "turns", body: { messages: [...describe(scenes[0]), { role: "assistant", content: "A circle." }, { role: "user", content: "And the text?" }], temperature: 0, max_tokens: 30 } },
  { name: "schema", body: greedy("Answer in JSON", { response_format: { type: "json_schema", json_schema: { name: "a", schema: colours } }, max_tokens: 60 }) },
  { name: "lark", body: greedy("A number", { response_format: { type: "lark", lark: "start: /[0-9]{1,8}/ \" apples\"" } }) },
  { name: "tools", body: greedy("Paint", { tools: [{ type: "function", function: { name: "paint", parameters: colours } }], tool_choice: "required", max_tokens: 80 }) },
  { name: "seeded", body: greedy("Tell me more", { temperature: 1, seed: 7 }) },
  { name: "probabilities", body: greedy("Hello", { logprobs: true, top_logprobs: 5, max_tokens: 12 }) },
];

/** The content of an answer that must not change. */
function content({ choices }) {
  const { message, logprobs } = choices[0];
  const calls = message.tool_calls?.map((call) => call.function);
  return JSON.stringify([message.content, calls, logprobs?.content.map(({ token, logprob }) => [token, logprob])]);
}

const counts = {};
const wrong = [];
const count = (name) => (counts[name] = (counts[name] ?? 0) + 1);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Records an answer unless it is the expected one. */
function expect(name, found, expected) {
  count(name);
  if (found !== expected) wrong.push({ name, found, expected });
}

async function whole(server, { name, body, expected }) {
  const { status, json } = await server.ask(CHAT, body);
  expect(name.split(" ")[0], status === 200 ? content(json) : JSON.stringify(json), expected);
}

async function streamed(server, { name, body, text }) {
  expect(`stream of ${name.split(" ")[0]}`, await server.stream(body), text);
}

/** A stream that its client leaves after some tokens. */
async function aborted(server, next) {
  const leaving = new AbortController();
  let left = 1 + Math.floor(next() * 30);
  const onToken = () => (left -= 1) === 0 && leaving.abort();
  await server.stream(endless(300, { n: 1 + Math.floor(next() * 3) }), { signal: leaving.signal, onToken }).catch(() => {});
  count("abort in a stream");
}

/** A request that its client gives up while it waits or is computed. */
async function givenUp(server, next) {
  await server.ask(CHAT, endless(200), AbortSignal.timeout(1 + Math.floor(next() * 300))).catch(() => {});
  count("abort of a request");
}

async function refused(server, next) {
  const bodies = ["{", { messages: [] }, greedy("a", { temperature: 9 }), { messages: [{ role: "user", content: [shown(Buffer.from("no picture"))] }] }, greedy("a ".repeat(5000)), greedy("a", { response_format: { type: "lark", lark: `start: ${"a{".repeat(1000)}` } })];
  const { status } = await server.ask(CHAT, bodies[Math.floor(next() * bodies.length)]);
  expect("refused", status, 400);
}

async function response(server) {
  const { json } = await server.ask("/v1/responses", { input: "Hello", temperature: 0, max_output_tokens: 16 });
  const again = await server.ask("/v1/responses", { input: "More", previous_response_id: json.id, temperature: 0, max_output_tokens: 16 });
  expect("responses", again.status, 200);
}

/** A batch of eight lines, whose files are removed afterwards. */
async function batch(server, next) {
  const chosen = Array.from({ length: 8 }, () => questions[Math.floor(next() * questions.length)]);
  const lines = chosen.map(({ body }, number) => JSON.stringify({ custom_id: String(number), method: "POST", url: CHAT, body }));
  const form = new FormData();
  form.append("purpose", "batch");
  form.append("file", new Blob([lines.join("\n")]), "in.jsonl");
  const { json: file } = await server.ask("/v1/files", form);
  let { json: made } = await server.ask("/v1/batches", { input_file_id: file.id, endpoint: CHAT, completion_window: "24h" });
  while (!["completed", "failed"].includes(made.status)) {
    await pause(500);
    ({ json: made } = await server.ask(`/v1/batches/${made.id}`));
  }
  const answers = (await (await server.fetch(`/v1/files/${made.output_file_id}/content`)).text()).trim().split("\n").map((line) => JSON.parse(line));
  for (const { custom_id, response } of answers) {
    const { name, expected } = chosen[Number(custom_id)];
    expect(`batch line: ${name.split(" ")[0]}`, content(response.body), expected);
  }
  if (answers.length !== 8) wrong.push({ name: "batch", found: answers.length, expected: 8 });
  for (const id of [file.id, made.output_file_id, made.error_file_id]) await server.fetch(`/v1/files/${id}`, { method: "DELETE" });
}

/** Kinds of requests by their share. */
const kinds = [
  [40, (server, next) => whole(server, questions[Math.floor(next() * questions.length)])],
  [24, (server, next) => streamed(server, questions[Math.floor(next() * 12)])],
  [12, aborted],
  [8, givenUp],
  [8, refused],
  [6, response],
  [2, batch],
];
const shares = kinds.reduce((sum, [share]) => sum + share, 0);

async function client(server, seed, until) {
  const next = random(seed);
  while (Date.now() < until && server.isAlive) {
    let at = next() * shares;
    const [, run] = kinds.find(([share]) => (at -= share) < 0);
    try {
      await run(server, next);
    } catch (error) {
      wrong.push({ name: run.name, found: String(error), expected: "an answer" });
      await pause(1000);
    }
    await pause(next() * Number(options.pause));
  }
}

async function sample(server, until, samples) {
  const began = Date.now();
  while (Date.now() < until && server.isAlive) {
    const { requests_waiting: waiting, requests_active: active, gpu_memory_bytes: gpu } = await server.metrics();
    samples.push({ seconds: (Date.now() - began) / 1000, ...server.memory(), handles: server.handles(), waiting, active, gpu });
    await pause(Number(options.every) * 1000);
  }
}

const folder = mkdtempSync(join(tmpdir(), "ocelli-soak-"));
const args = ["--device", "cpu", "--threads", options.threads, "--files", join(folder, "files"), "--usage", join(folder, "usage"), "--cache", join(folder, "cache")];
const server = await Server.start({ ocelli: options.ocelli, pkg: options.package, args, isLow: true });
const samples = [];
try {
  for (const question of questions) {
    question.expected = content((await server.ask(CHAT, question.body)).json);
    question.text = JSON.parse(question.expected)[0];
  }
  const until = Date.now() + minutes * 60_000;
  const clients = Array.from({ length: Number(options.clients) }, (_, number) => client(server, Number(options.seed) * 1000 + number, until));
  await Promise.all([...clients, sample(server, until, samples)]);
  if (!server.isAlive) wrong.push({ name: "server", found: "it ended", expected: "it lives" });
} finally {
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
}

const MIB = 1 << 20;
const quarters = [0, 1, 2, 3].map((quarter) => samples.slice((quarter * samples.length) >> 2, ((quarter + 1) * samples.length) >> 2));
const rows = [
  ["resident memory, MiB", ({ resident }) => Math.round(resident / MIB)],
  ["open files and sockets", ({ handles }) => handles],
  ["threads", ({ threads }) => threads],
  ["waiting requests", ({ waiting }) => waiting],
  ["requests that have begun", ({ active }) => active],
  ["memory of the device, MiB", ({ gpu }) => Math.round(gpu / MIB)],
].map(([name, of]) => [name, ...quarters.map((part) => `${median(part.map(of))} (${Math.max(...part.map(of))})`)]);
const written = table(["median (most)", "1st quarter", "2nd", "3rd", "4th"], rows);
const requests = Object.values(counts).reduce((sum, number) => sum + number, 0);
const growth = median(quarters[3].map(({ resident }) => resident)) / median(quarters[2].map(({ resident }) => resident)) - 1;
const summary = `${minutes} minutes, ${options.clients} clients, ${requests} requests, ${wrong.length} wrong answers; resident memory ${(growth * 100).toFixed(2)} % from the third to the fourth quarter`;
const report = { date: new Date().toISOString(), ...machine(), summary, counts, wrong: wrong.slice(0, 20), samples };
writeFileSync(join(options.out, "soak.json"), JSON.stringify(report, null, 1));
writeFileSync(join(options.out, "soak.md"), `${summary}\n\n${written}\n`);
console.log(`${summary}\n\n${written}\n`, counts);
const handles = quarters.map((part) => median(part.map((one) => one.handles)));
process.exitCode = wrong.length > 0 || growth > MOST_GROWTH || handles[3] > handles[2] + Number(options.clients) ? 1 : 0;
