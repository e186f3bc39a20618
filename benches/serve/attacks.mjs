/**
 * Attacks on a server, each with a server of its own: gaps between the tokens of another client's stream and the wait for its first token,
 * without and with the attack, and the most memory of the process.
 * `node attacks.mjs --ocelli COMMAND --package PKG --out DIR`, as `./build.sh bench --attacks` calls it; writes `attacks.json` and
 * `attacks.md`, prints the table, and fails if a server ends or an attack has another outcome than it should.
 */
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Worker } from "node:worker_threads";
import { crc32, deflateSync } from "node:zlib";
import { machine } from "../../www/bench/processors.mjs";
import { CHAT, endless, Server, shown, table } from "./server.mjs";

const { values: options } = parseArgs({
  options: {
    ocelli: { type: "string" },
    package: { type: "string" },
    out: { type: "string" },
    /** Seconds without an attack, and with one that does not end by itself. */
    seconds: { type: "string", default: "15" },
    threads: { type: "string", default: "1" },
    /** Attacks whose names contain this. */
    only: { type: "string", default: "" },
  },
});
const seconds = Number(options.seconds);
const MIB = 1 << 20;
/** Most bytes of a body. */
const BODY = 64 * MIB;

/** A PNG file of 10,000 x 10,000 black pixels of one bit, which differs by `number`. */
function largePicture(number) {
  const chunk = (kind, data) => {
    const named = Buffer.concat([Buffer.from(kind), data]);
    const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(data.length);
    sum.writeUInt32BE(crc32(named));
    return Buffer.concat([length, named, sum]);
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(10_000, 0);
  header.writeUInt32BE(10_000, 4);
  header[8] = 1;
  largePicture.pixels ??= deflateSync(Buffer.alloc(10_000 * 1251), { level: 9 });
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  const comment = Buffer.from(`Comment\0${number}`);
  const chunks = [chunk("IHDR", header), chunk("tEXt", comment), chunk("IDAT", largePicture.pixels), chunk("IEND", Buffer.alloc(0))];
  return Buffer.concat([signature, ...chunks]);
}

const pictures = (number) => ({ messages: [{ role: "user", content: Array.from({ length: number }, (_, one) => shown(largePicture(one))) }], max_tokens: 2 });
const asked = (content) => ({ messages: [{ role: "user", content }], max_tokens: 2 });
const lark = (rules) => endless(3, { response_format: { type: "lark", lark: rules } });
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Sends the same request `times` times at once; returns the number of replies by status. */
async function send(server, times, body, path = CHAT) {
  const text = JSON.stringify(body);
  const replies = await Promise.all(Array.from({ length: times }, () => server.ask(path, text)));
  return tally(replies.map(({ status }) => status));
}

function tally(outcomes) {
  const counts = {};
  for (const one of outcomes) counts[one] = (counts[one] ?? 0) + 1;
  return counts;
}

/** Opens connections that send a part of a request and then nothing. */
async function halves(server, number) {
  const body = "x".repeat(MIB);
  const whole = `POST ${CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
  const sockets = [];
  const outcomes = Array.from({ length: number }, (_, one) => {
    const socket = connect(server.port, "127.0.0.1");
    sockets.push(socket);
    socket.write(whole.slice(0, one % 2 === 0 ? 40 : whole.length / 2));
    return new Promise((resolve) => {
      socket.on("data", (reply) => resolve(String(reply).split(" ")[1]));
      socket.on("error", () => resolve("reset"));
      socket.on("close", () => resolve("closed"));
      setTimeout(() => resolve("open"), seconds * 1000);
    });
  });
  const counts = tally(await Promise.all(outcomes));
  for (const socket of sockets) socket.destroy();
  return counts;
}

/** Clients that give up after a second and ask again. */
async function retries(server, number) {
  const until = Date.now() + seconds * 1000;
  const outcomes = [];
  const client = async () => {
    while (Date.now() < until) {
      const reply = server.ask(CHAT, endless(300), AbortSignal.timeout(1000));
      outcomes.push(await reply.then(({ status }) => status, () => "gave up"));
      if (outcomes.at(-1) === 429) await pause(100);
    }
  };
  await Promise.all(Array.from({ length: number }, client));
  return tally(outcomes);
}

/** Clients that ask for long streams and never read them. */
async function unread(server, number) {
  const body = JSON.stringify(endless(380, { stream: true, n: 8, logprobs: true, top_logprobs: 20 }));
  const sockets = Array.from({ length: number }, () => {
    const socket = connect(server.port, "127.0.0.1").pause();
    socket.on("error", () => {});
    socket.write(`POST ${CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
    return socket;
  });
  await pause(seconds * 1000);
  for (const socket of sockets) socket.destroy();
  return { open: number };
}

const chain = Array.from({ length: 20_000 }, (_, rule) => `r${rule}: r${rule + 1}\n`).join("");
const deep = (levels) => ({ $defs: { a: JSON.parse(`${'{"items":'.repeat(levels)}{}${"}".repeat(levels)}`) }, type: "array", items: { $ref: "#/$defs/a" } });
const schema = (of) => endless(3, { response_format: { type: "json_schema", json_schema: { name: "a", schema: of } } });

/** Attacks with the statuses that all their requests must get. */
const attacks = [
  { name: "Lark: `a{a{a{…`, 16 at once", run: (server) => send(server, 16, lark(`start: ${"a{".repeat(100_000)}`)), statuses: ["400"] },
  { name: "Lark: `%if not(not(…`, 16 at once", run: (server) => send(server, 16, lark(`start: a %if ${"not(".repeat(50_000)}`)), statuses: ["400"] },
  { name: "Lark: a chain of 20,000 rules, 16 at once", run: (server) => send(server, 16, lark(`start: r0\n${chain}`)), statuses: ["400"] },
  { name: "regular expression `((a{1000}){1000}){1000}`, 16 at once", run: (server) => send(server, 16, endless(3, { response_format: { type: "regex", regex: "((a{1000}){1000}){1000}" } })), statuses: ["400"] },
  { name: "schema of 100 nested arrays, 16 at once", run: (server) => send(server, 16, schema(deep(100))), statuses: ["200", "400"] },
  { name: "4,000 pictures of 100 megapixels", run: (server) => send(server, 1, pictures(4000)), statuses: ["400"] },
  { name: "4 pictures of 100 megapixels, which is allowed, 16 at once", run: (server) => send(server, 16, pictures(4)), statuses: ["200", "400"] },
  { name: "a word of 64 MiB", run: (server) => send(server, 1, asked("a".repeat(BODY - 1000))), statuses: ["400"] },
  { name: "a word of 64 MiB to `/v1/tokenize`, 24 at once", run: (server) => send(server, 24, { prompt: "a".repeat(BODY - 1000) }, "/v1/tokenize"), statuses: ["400", "429"] },
  { name: "512 half requests", run: (server) => halves(server, 512), statuses: ["open"] },
  { name: "100 clients that time out and retry", run: (server) => retries(server, 100), statuses: ["200", "429", "gave up"] },
  { name: "64 streams that nobody reads", run: (server) => unread(server, 64), statuses: ["open"] },
];

/**
 * Streams of another client, one after another, until `isOver`: the gaps between tokens and the times of the first ones, in milliseconds. In
 * a thread of its own, which the attacks do not hold up.
 */
async function watch(server, isOver) {
  const worker = new Worker(new URL("watcher.mjs", import.meta.url), { workerData: server.url });
  try {
    const seen = once(worker, "message");
    // The first stream has begun.
    await pause(500);
    await isOver();
    worker.postMessage("over");
    return (await seen)[0];
  } finally {
    await worker.terminate();
  }
}

async function measure({ name, run, statuses }) {
  const args = ["--device", "cpu", "--threads", options.threads];
  const server = await Server.start({ ocelli: options.ocelli, pkg: options.package, args });
  try {
    const without = await watch(server, () => pause(seconds * 1000));
    const quiet = server.memory().peak;
    let [outcome, ms] = [{}, 0];
    const during = await watch(server, async () => {
      const began = performance.now();
      outcome = await run(server).catch((error) => ({ [String(error.cause ?? error)]: 1 }));
      ms = performance.now() - began;
    });
    const after = await server.ask(CHAT, endless(3));
    const isRight = server.isAlive && after.status === 200 && Object.keys(outcome).every((status) => statuses.includes(status));
    return { name, isRight, outcome, ms, without, during, quiet, peak: server.memory().peak };
  } finally {
    await server.stop();
  }
}

const results = [];
for (const attack of attacks.filter(({ name }) => name.includes(options.only))) {
  results.push(await measure(attack));
  console.error("%s", attack.name, results.at(-1).outcome, results.at(-1).isRight);
}

const gap = (times) => `${(times.reduce((sum, ms) => sum + ms, 0) / times.length).toFixed(1)} / ${Math.max(...times).toFixed(0)}`;
const rows = results.map(({ name, outcome, ms, without, during, quiet, peak, isRight }) => [
  name,
  Object.entries(outcome).map(([status, number]) => `${number} x ${status}`).join(", "),
  (ms / 1000).toFixed(1),
  gap(without.gaps),
  gap(during.gaps),
  Math.max(...without.firsts).toFixed(0),
  Math.max(...during.firsts).toFixed(0),
  `${Math.round(quiet / MIB)} / ${Math.round(peak / MIB)}`,
  isRight ? "yes" : "**no**",
]);
const head = ["attack", "replies", "seconds", "gap without, ms: mean / largest", "gap with", "first token without, ms", "first token with", "peak memory without / with, MiB", "lives and answers"];
const written = table(head, rows);
writeFileSync(join(options.out, "attacks.json"), JSON.stringify({ date: new Date().toISOString(), ...machine(), results }));
writeFileSync(join(options.out, "attacks.md"), `${written}\n`);
console.log(written);
process.exitCode = results.every(({ isRight }) => isRight) ? 0 : 1;
