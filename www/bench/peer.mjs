/**
 * Ocelli beside onnxruntime-web, the engine of transformers.js, with models of one shape and random weights: in one headless Chromium,
 * in turns. `node bench/peer.mjs --shape SHAPE.json --package PKG --onnx DIR --ort DIR --out DIR`, with the folders that
 * `./build.sh bench --against-ort` makes; writes `peer.json` and `peer.md` and prints the table.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { startBrowser } from "./peer-site.mjs";
import { summary, table } from "./peer-report.mjs";
import { machine, processorSeconds } from "./processors.mjs";

const { values: options } = parseArgs({
  options: {
    shape: { type: "string" },
    package: { type: "string" },
    onnx: { type: "string" },
    ort: { type: "string" },
    out: { type: "string", default: "../target/bench" },
    /** Tokens of the prompt, and tokens decoded after it: at least 2. */
    prompt: { type: "string", default: "64" },
    decode: { type: "string", default: "3" },
    /** The parts of `prompt` and `decode` that are timed. */
    measures: { type: "string", default: "prompt,decode" },
    /** Sides of pictures, in pixels. */
    pictures: { type: "string", default: "112,448" },
    rounds: { type: "string", default: "3" },
    /** No round of a measure begins once it has taken this long. */
    patience: { type: "string", default: "120" },
    /** Contestants to skip: `webgpu`, `wasm`, `ocelli`. */
    without: { type: "string", default: "" },
    /** Numbers of threads of Ocelli on the processor, each a contestant. The others are compared with the last of them. */
    processor: { type: "string", default: "" },
    /** Folder into which wllama is installed, a GGUF file of the text model, and numbers of its threads, each a contestant without pictures. */
    wllama: { type: "string", default: "" },
    gguf: { type: "string", default: "" },
    "wllama-threads": { type: "string", default: "1,2" },
    /** Files below the folder `onnx`, of those that benches/onnx makes. Others are `decoder/model.onnx` and `tower.onnx`. */
    decoder: { type: "string", default: "decoder/model-f32.onnx" },
    tower: { type: "string", default: "tower-q4.onnx" },
  },
});
const [prompt, decode, rounds] = [options.prompt, options.decode, options.rounds].map(Number);
const list = (option) => option.split(",").filter(Boolean);
const [measures, sides] = [list(options.measures), list(options.pictures).map(Number)];
const shape = JSON.parse(readFileSync(options.shape, "utf8"));
const { vision, text } = shape;
const towerShape = { patchSize: vision.patch_size, headDim: vision.head_dim, theta: vision.rope_theta, merge: vision.spatial_merge_size };
const ids = Array.from({ length: prompt }, (_, i) => 1000 + ((i * 7919) % (text.vocab_size - 1000)));

const folders = { "/package/": options.package, "/onnx/": options.onnx, "/ort/": join(options.ort, "node_modules/onnxruntime-web/dist") };
if (options.wllama) {
  folders["/wllama/"] = join(options.wllama, "node_modules/@wllama/wllama/esm");
  folders["/gguf/"] = dirname(options.gguf);
}
const site = await startBrowser(folders);
const began = { date: new Date().toISOString(), ...machine() };

/** Each has `open()`, `prompt()`, `hold()`, `decode(tokens)` and `picture(side)`. */
const contestants = { ocelli: ocelli("ocelli", null), webgpu: ort("webgpu"), wasm: ort("wasm") };
for (const threads of list(options.processor)) contestants[`cpu ${threads}`] = ocelli(`cpu ${threads}`, Number(threads));
if (options.wllama)
  for (const threads of list(options["wllama-threads"])) contestants[`wllama ${threads}`] = wllama(`wllama ${threads}`, Number(threads));

try {
  const names = Object.keys(contestants).filter((name) => !list(options.without).includes(name));
  const opened = {};
  for (const name of names) {
    opened[name] = await contestants[name].open();
    note(`${name} opened`, opened[name]);
  }
  const steps = [
    ...(measures.includes("prompt") ? [{ what: "prompt", of: 1, act: (side) => side.prompt() }] : []),
    ...(measures.includes("decode") ? [{ what: "decode", of: decode, act: (side) => side.decode(decode) }] : []),
    ...sides.map((pixels) => ({ what: `picture ${pixels}`, of: 1, act: (side) => side.picture(pixels) })),
  ];
  // Compiles all shaders; not counted.
  for (const name of names) {
    const side = contestants[name];
    if (measures.length) note(`${name}, warming up: prompt`, await side.prompt());
    if (measures.includes("decode")) await side.hold();
    if (measures.includes("decode")) note(`${name}, warming up: decode`, await side.decode(2));
    if (sides.length && side.picture) note(`${name}, warming up: picture`, await side.picture(sides[0]));
  }
  const samples = [];
  for (const step of steps) await inTurns(step);

  const report = {
    began,
    ended: machine(),
    browser: site.version,
    prompt,
    decode,
    models: [options.decoder, options.tower],
    opened,
    samples,
  };
  report.summary = summary(report);
  mkdirSync(options.out, { recursive: true });
  writeFileSync(join(options.out, "peer.json"), `${JSON.stringify(report, null, 2)}\n`);
  writeFileSync(join(options.out, "peer.md"), table(report));
  console.log(table(report));

  /** Rounds of one measure, every contestant once a round; the answers must be the same in all rounds. */
  async function inTurns({ what, of, act }) {
    const began = performance.now();
    const first = {};
    for (let round = 0; round < rounds && performance.now() - began < 1000 * Number(options.patience); round++) {
      for (const name of names) {
        if (what.startsWith("picture") && !contestants[name].picture) continue;
        if (what === "decode") await contestants[name].hold();
        const before = processorSeconds();
        const { seconds, said, isPart } = await act(contestants[name]);
        const processors = before === null || isPart ? null : (processorSeconds() - before) / of;
        if (said !== (first[name] ??= said)) throw new Error(`${what}: ${name} said ${said} after ${first[name]}`);
        samples.push({ what, round, name, seconds, processors, said });
        note(`${what}, round ${round + 1}, ${name}`, { seconds, processors, said });
      }
    }
  }
} finally {
  await site.close();
}

/** Ocelli on the GPU, or with so many threads of the processor. */
function ocelli(name, threads) {
  const call = (act, ...given) => site.inPage(([act, given]) => globalThis.ocelliSides[act](...given), [act, [name, ...given]]);
  return {
    open: () => call("open", `${site.url}package/`, prompt, threads),
    hold: () => call("hold"),
    prompt: () => call("prompt", prompt),
    decode: (tokens) => call("decode", tokens),
    picture: (side) => call("picture", side),
  };
}

/** llama.cpp in wasm with so many threads, without a tower. */
function wllama(name, threads) {
  const call = (act, ...given) => site.inPage(([act, given]) => globalThis.wllamaSides[act](...given), [act, [name, ...given]]);
  return {
    open: () => call("open", `${site.url}wllama/`, `${site.url}gguf/${basename(options.gguf)}`, prompt, threads),
    hold: () => call("hold"),
    prompt: () => call("prompt", prompt),
    decode: (tokens) => call("decode", tokens),
  };
}

/** onnxruntime-web with one provider, in a worker of its own. */
function ort(provider) {
  const call = (message) => site.callWorker(provider, message);
  const cache = { layers: text.layers.length, heads: text.num_key_value_heads, width: text.head_dim };
  const library = "/ort/ort.webgpu.bundle.min.mjs";
  const [decoder, tower] = [options.decoder, options.tower].map((file) => `/onnx/${file}`);
  return {
    open: () => call({ kind: "open", provider, library, decoder, tower, cache }),
    // It keeps the last prompt.
    hold: () => Promise.resolve(),
    prompt: () => call({ kind: "prompt", ids }),
    decode: (tokens) => call({ kind: "decode", tokens }),
    picture: (side) => call({ kind: "picture", shape: towerShape, side }),
  };
}

function note(what, figures) {
  const shown = Object.entries(figures).map(([name, value]) => `${name} ${typeof value === "number" ? value.toFixed(2) : value}`);
  console.error(`${what}: ${shown.join(", ")}`);
}
