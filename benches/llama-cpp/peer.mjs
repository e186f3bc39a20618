/**
 * llama.cpp by the library that node-llama-cpp publishes, on the processor: milliseconds of prompts and of a token, as JSON.
 * `node peer.mjs --llama DIR --model FILE.gguf --threads N --prefill 64,512 --decode 128 --tokens 16 --rounds 3`
 */
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

const { values: options } = parseArgs({
  options: Object.fromEntries(["llama", "model", "threads", "prefill", "decode", "tokens", "rounds"].map((name) => [name, { type: "string" }])),
});
const [threads, decode, tokens, rounds] = [options.threads, options.decode, options.tokens, options.rounds].map(Number);
const entry = join(options.llama, "node_modules/node-llama-cpp/dist/index.js");
const { getLlama } = await import(pathToFileURL(entry).href);

const llama = await getLlama({ gpu: false, build: "never", maxThreads: threads, logLevel: "error" });
const model = await llama.loadModel({ modelPath: options.model });
const context = await model.createContext({ contextSize: 1024, batchSize: 512, threads: { ideal: threads, min: threads } });
const sequence = context.getSequence();

/** Tokens that are no control tokens and differ from round to round, so that none are reused. */
const prompt = (length, round) => Array.from({ length }, (_, i) => 1000 + (((i + 31 * round) * 7919) % 31000));

/** Milliseconds of a prompt, of which a last token would begin the answer. */
async function timePrompt(length, round) {
  await sequence.clearHistory();
  const start = performance.now();
  for await (const _ of sequence.evaluate(prompt(length, round), { temperature: 0 })) break;
  return performance.now() - start;
}

/** Milliseconds of a token after a context. */
async function timeDecode(round) {
  await sequence.clearHistory();
  let [count, start] = [0, 0];
  const options = { temperature: 0, yieldEogToken: true };
  for await (const _ of sequence.evaluate(prompt(decode, round), options)) {
    if (count === 0) start = performance.now();
    if (count === tokens) break;
    count += 1;
  }
  return (performance.now() - start) / tokens;
}

const times = {};
for (let round = 0; round <= rounds; round += 1) {
  const measures = options.prefill.split(",").map((length) => [`prompt ${length}`, () => timePrompt(Number(length), round)]);
  for (const [name, time] of [...measures, [`token after ${decode}`, () => timeDecode(round)]]) {
    const ms = await time();
    // The first round warms up.
    if (round > 0) (times[name] ??= []).push(ms);
  }
}
console.log(JSON.stringify({ threads: context.currentThreads, times }));
await llama.dispose();
