/**
 * Ocelli beside llama.cpp on the processor, with one Q4_0 file of random weights: in processes that take turns, medians over all of them.
 * `node duel.mjs --ocelli COMMAND --package PKG --llama DIR --model FILE.gguf --out DIR`, as `./build.sh bench --against-llama-cpp` calls it;
 * writes `llama-cpp.json` and `llama-cpp.md` and prints the table.
 */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { machine } from "../../www/bench/processors.mjs";

const { values: options } = parseArgs({
  options: {
    ocelli: { type: "string" },
    package: { type: "string" },
    llama: { type: "string" },
    model: { type: "string" },
    out: { type: "string" },
    /** Numbers of threads. */
    threads: { type: "string", default: "1,2" },
    prefill: { type: "string", default: "64,512" },
    /** Tokens in the context of a timed token. */
    decode: { type: "string", default: "128" },
    tokens: { type: "string", default: "32" },
    /** Turns of all processes, and measurements of each. */
    turns: { type: "string", default: "5" },
    rounds: { type: "string", default: "3" },
  },
});
const sizes = ["prefill", "decode", "tokens", "rounds"].flatMap((name) => [`--${name}`, options[name]]);

const run = (command, args) => execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });

/** Milliseconds by measure. */
function ocelli(arithmetic, threads) {
  const report = join(options.out, "llama-cpp-ocelli.json");
  const device = ["--device", "cpu", "--threads", threads, "--arithmetic", arithmetic];
  run(options.ocelli, ["bench", options.package, "--no-kernels", ...device, ...sizes, "--report", report]);
  const { measures } = JSON.parse(readFileSync(report, "utf8"));
  const named = { prompt: (size) => `prompt ${size}`, decode: (size) => `token after ${size}` };
  const rows = measures.filter(({ what }) => what in named);
  return Object.fromEntries(rows.map(({ what, size, steps, times }) => [named[what](size), times.map((ms) => (what === "decode" ? ms / steps : ms))]));
}

function llamaCpp(threads) {
  const peer = new URL("peer.mjs", import.meta.url).pathname;
  return JSON.parse(run(process.execPath, [peer, "--llama", options.llama, "--model", options.model, "--threads", threads, ...sizes])).times;
}

const contestants = { exact: (threads) => ocelli("exact", threads), fast: (threads) => ocelli("fast", threads), "llama.cpp": llamaCpp };
const threads = options.threads.split(",");
const times = {};
for (let turn = 0; turn < Number(options.turns); turn += 1) {
  for (const count of threads) {
    for (const [name, measure] of Object.entries(contestants)) {
      for (const [what, found] of Object.entries(measure(count))) (((times[what] ??= {})[count] ??= {})[name] ??= []).push(...found);
    }
  }
}

const median = (numbers) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1];
const rows = [];
for (const [what, byThreads] of Object.entries(times)) {
  for (const [count, byName] of Object.entries(byThreads)) {
    const [exact, fast, peer] = ["exact", "fast", "llama.cpp"].map((name) => median(byName[name]));
    rows.push([what, count, ...[exact, fast, peer].map((ms) => ms.toFixed(2)), ...[peer / exact, peer / fast].map((ratio) => `${ratio.toFixed(2)}x`)]);
  }
}
const head = ["ms", "threads", "exact", "fast", "llama.cpp", "llama.cpp / exact", "llama.cpp / fast"];
const line = (cells) => `| ${cells.join(" | ")} |`;
const table = [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
writeFileSync(join(options.out, "llama-cpp.json"), JSON.stringify({ date: new Date().toISOString(), ...machine(), times }, null, 2));
writeFileSync(join(options.out, "llama-cpp.md"), `${table}\n`);
console.log(table);
