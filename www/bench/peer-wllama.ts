/** llama.cpp's side of the comparison: wllama as a page uses it, on the processor. Times are its own. */
import type { Done, WllamaSides } from "./peer-types.js";

interface Timings {
  /** Tokens of the prompt that were computed, and all of the answer. */
  prompt_n: number;
  predicted_n: number;
  /** Until the first token, and from there to the last. */
  prompt_ms: number;
  predicted_ms: number;
}

interface Completion {
  choices: { text: string }[];
  timings: Timings;
}

/** The used part of wllama, which is installed for this benchmark alone. */
interface Wllama {
  loadModelFromUrl(url: string, options: object): Promise<void>;
  createCompletion(request: object): Promise<Completion>;
  getNumThreads(): number;
}

type Library = { Wllama: new (paths: { default: string }) => Wllama };

interface Side {
  wllama: Wllama;
  /** Words of the prompt that computes as many tokens as wanted. */
  words: number;
}

const sides = new Map<string, Side>();

const wllamaSides: WllamaSides = { open, prompt, decode, hold: async (name) => void (await ask(name, 1, true)) };
Object.assign(globalThis, { wllamaSides });

async function open(name: string, libraryUrl: string, modelUrl: string, tokens: number, threads: number): Promise<{ threads: number }> {
  const { Wllama } = (await import(`${libraryUrl}index.js`)) as Library;
  const wllama = new Wllama({ default: `${libraryUrl}wasm/wllama.wasm` });
  await wllama.loadModelFromUrl(modelUrl, { n_ctx: 1024, n_threads: threads, n_gpu_layers: 0, useCache: false });
  const side = { wllama, words: tokens };
  sides.set(name, side);
  for (let attempt = 0; attempt < 3; attempt++) {
    const { timings } = await ask(name, 1, false);
    if (timings.prompt_n === tokens) return { threads: wllama.getNumThreads() };
    side.words += tokens - timings.prompt_n;
  }
  throw new Error(`no prompt of wllama computes just ${tokens} tokens`);
}

async function prompt(name: string, tokens: number): Promise<Done> {
  const { timings } = await ask(name, 1, false);
  if (timings.prompt_n !== tokens) throw new Error(`wllama computed ${timings.prompt_n} tokens, not ${tokens}`);
  return { seconds: timings.prompt_ms / 1000, said: "" };
}

async function decode(name: string, tokens: number): Promise<Done> {
  const { choices, timings } = await ask(name, tokens, true);
  if (timings.predicted_n !== tokens) throw new Error(`wllama answered in ${timings.predicted_n} tokens, not ${tokens}`);
  return { seconds: timings.predicted_ms / 1000 / (tokens - 1), said: choices[0]?.text ?? "" };
}

function ask(name: string, max_tokens: number, cache_prompt: boolean): Promise<Completion> {
  const side = sides.get(name);
  if (!side) throw new Error(`${name} is not open`);
  const request = { prompt: Array<string>(side.words).fill("a").join(" "), max_tokens, cache_prompt, temperature: 0, ignore_eos: true };
  return side.wllama.createCompletion(request);
}
