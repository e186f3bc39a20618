/**
 * Probes of one API key for the prompts of another: does `cached_tokens`, or the time to the first token, tell that a prompt was sent before?
 * `node probes.mjs --ocelli COMMAND --package PKG --out DIR`, as `./build.sh bench --probes` calls it; writes `probes.json`, prints the
 * figures, and fails if a probe tells more than chance, or if the key that sent the prompts gets no cache.
 */
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { machine } from "../../www/bench/processors.mjs";
import { CHAT, median, random, Server } from "./server.mjs";

const { values: options } = parseArgs({
  options: {
    ocelli: { type: "string" },
    package: { type: "string" },
    out: { type: "string" },
    probes: { type: "string", default: "1000" },
    seed: { type: "string", default: "1" },
    threads: { type: "string", default: "1" },
  },
});
const probes = Number(options.probes);
const WORDS = ["red", "blue", "green", "circle", "square", "star", "ring", "left", "right", "above", "below", "word"];

const draw = random(Number(options.seed));
const pick = (list) => list[Math.floor(draw() * list.length)];
/** A prompt of about 60 words, which no other one begins like. */
const prompt = (number) => `${number} ${Array.from({ length: 60 }, () => pick(WORDS)).join(" ")}`;

const folder = mkdtempSync(join(tmpdir(), "ocelli-probes-"));
const keys = Object.fromEntries(["ann", "eve"].map((name) => [name, randomBytes(24).toString("hex")]));
const file = join(folder, "keys.json");
const entry = ([name, key]) => ({ name, sha256: createHash("sha256").update(key).digest("hex") });
writeFileSync(file, JSON.stringify(Object.entries(keys).map(entry)));
const server = await Server.start({ ocelli: options.ocelli, pkg: options.package, args: ["--keys", file, "--threads", options.threads] });

/** Tokens of the prompt that came from a cache, and milliseconds until the one token of the answer. */
async function ask(name, content) {
  const body = { messages: [{ role: "user", content }], max_tokens: 1, temperature: 0 };
  const headers = { "content-type": "application/json", authorization: `Bearer ${keys[name]}` };
  const begin = performance.now();
  const reply = await server.fetch(CHAT, { body, headers });
  const json = await reply.json();
  if (reply.status !== 200) throw new Error(`${reply.status}: ${JSON.stringify(json)}`);
  return { ms: performance.now() - begin, cached: json.usage.prompt_tokens_details?.cached_tokens ?? 0 };
}

/** The share of pairs in which the probe of a prompt that was sent took less time: 0.5 by chance. */
function area(sent, fresh) {
  let less = 0;
  for (const one of sent) for (const other of fresh) less += one < other ? 1 : one === other ? 0.5 : 0;
  return less / (sent.length * fresh.length);
}

try {
  const found = { sent: [], fresh: [] };
  const own = { sent: [], fresh: [] };
  for (let number = 0; number < probes; number++) {
    const kind = number % 2 === 0 ? "sent" : "fresh";
    const text = prompt(number);
    // Both kinds of probes follow the same number of requests.
    await ask("ann", kind === "sent" ? text : prompt(`other ${number}`));
    found[kind].push(await ask("eve", text));
    if (number % 20 < 2) own[kind].push(await ask("ann", text));
  }
  const times = (rows) => rows.map(({ ms }) => ms);
  const share = area(times(found.sent), times(found.fresh));
  const [n, m] = [found.sent.length, found.fresh.length];
  /** The standard deviation of the share by chance (Mann and Whitney). */
  const deviation = Math.sqrt((n + m + 1) / (12 * n * m));
  const result = {
    date: new Date().toISOString(),
    machine: machine(),
    probes,
    cachedOfOthers: { sent: Math.max(...found.sent.map(({ cached }) => cached)), fresh: Math.max(...found.fresh.map(({ cached }) => cached)) },
    medianMs: { sent: median(times(found.sent)), fresh: median(times(found.fresh)) },
    share,
    deviations: (share - 0.5) / deviation,
    own: { cached: Math.min(...own.sent.map(({ cached }) => cached)), shareByTime: area(times(own.sent), times(own.fresh)) },
  };
  if (options.out) writeFileSync(join(options.out, "probes.json"), JSON.stringify(result, null, 2));
  console.log(JSON.stringify(result, null, 2));
  const isTold = result.cachedOfOthers.sent !== result.cachedOfOthers.fresh || Math.abs(result.deviations) > 4;
  if (isTold || result.own.cached === 0) process.exitCode = 1;
} finally {
  await server.stop();
  rmSync(folder, { recursive: true });
}
