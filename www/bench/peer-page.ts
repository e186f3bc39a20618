/** Ocelli's side of the comparison: the npm package as any page uses it. Times are its own, or taken around its calls. */
import { Engine } from "../src/index.js";
import type { Usage } from "../src/index.js";
import type { Done, OcelliSides, Opened } from "./peer-types.js";

/** An engine of its own for each contestant. */
interface Side {
  engine: Engine;
  isGpu: boolean;
  /** Words of the prompt: with them it is as many tokens as wanted, without those that every prompt begins with. */
  words: number;
  /** Number of prompts so far that share nothing with earlier ones. */
  fresh: number;
}

const sides = new Map<string, Side>();

const ocelliSides: OcelliSides = {
  open,
  hold: async (name) => void (await ask(sideOf(name), 1)),
  prompt: (name, tokens) => prompt(sideOf(name), tokens),
  decode: (name, tokens) => decode(sideOf(name), tokens),
  picture: (name, pixels) => picture(sideOf(name), pixels),
};
Object.assign(globalThis, { ocelliSides });

function sideOf(name: string): Side {
  const side = sides.get(name);
  if (!side) throw new Error(`${name} is not open`);
  return side;
}

async function open(name: string, packageUrl: string, tokens: number, threads: number | null): Promise<Opened> {
  const began = performance.now();
  // The last shard's arrival. Where nothing says so, the start.
  let stored = began;
  const engine = await Engine.load(packageUrl, {
    ...(threads === null ? { device: "gpu" } : { device: "cpu", threads }),
    onProgress: (report) => {
      if (report.kind === "progress" && report.stage === "prepare") stored = performance.now();
    },
  });
  const loaded = performance.now();
  const side = { engine, isGpu: threads === null, words: tokens - 2, fresh: 0 };
  sides.set(name, side);
  await ask(side, 1);
  const first = performance.now();
  await measureWords(side, tokens);
  if (threads !== null && engine.device.threads !== threads) throw new Error(`${engine.device.threads} threads instead of ${threads}`);
  return {
    device: [engine.device.name, engine.device.backend, engine.device.driver].filter(Boolean).join(", "),
    loadSeconds: (loaded - began) / 1000,
    firstTokenSeconds: (first - stored) / 1000,
    selfTestSeconds: engine.device.selfTest.ms / 1000,
  };
}

/** Makes the prompt compute just `tokens` tokens. */
async function measureWords(side: Side, tokens: number): Promise<void> {
  for (let attempt = 0; attempt < 3; attempt++) {
    const { computed } = await askAnew(side);
    if (computed === tokens) return;
    side.words += tokens - computed;
  }
  throw new Error(`no prompt computes just ${tokens} tokens`);
}

/** A prompt that the engine has not seen: of a prompt in its cache it computes only the last token. */
async function prompt(side: Side, tokens: number): Promise<Done> {
  const { computed, timings } = await askAnew(side);
  if (computed !== tokens) throw new Error(`${computed} tokens of a new prompt were computed, not ${tokens}`);
  // The first token comes with the prompt; what it takes to choose it is counted. It differs from prompt to prompt.
  return { seconds: (timings.prefill_ms + timings.decode_ms) / 1000, said: "" };
}

async function decode(side: Side, tokens: number): Promise<Done> {
  // The last token of the prompt is computed anew: it is that many passes in all, of which this counts all but the first.
  const { said, computed, completed, timings } = await ask(side, tokens);
  if (computed !== 1 || completed !== tokens) throw new Error(`${completed} tokens after a prompt of which ${computed} were computed`);
  return { seconds: timings.decode_ms / 1000 / (tokens - 1), said };
}

/** A prompt that differs from those before in its first word, so that of these only what all begin with is used. */
function askAnew(side: Side): Promise<Reply> {
  return ask(side, 1, String.fromCharCode("b".charCodeAt(0) + (side.fresh++ % 25)));
}

interface Reply {
  said: string;
  /** Tokens of the prompt that were not in the cache. */
  computed: number;
  completed: number;
  timings: Usage["ocelli"];
}

async function ask({ engine, words }: Side, max_tokens: number, first = "a"): Promise<Reply> {
  const content = [first, ...Array<string>(words - 1).fill("a")].join(" ");
  const request = { messages: [{ role: "user" as const, content }], max_tokens, temperature: 0 };
  const { choices, usage } = await engine.chat.completions.create(request);
  const { prompt_tokens, prompt_tokens_details, completion_tokens, ocelli } = usage;
  const computed = prompt_tokens - prompt_tokens_details.cached_tokens;
  return { said: choices[0]?.message.content ?? "", computed, completed: completion_tokens, timings: ocelli };
}

/**
 * Features of a picture of noise. On a GPU the request is stopped when the last layer of the tower is done: what follows the tower is then not
 * computed, but the projector is. On the processor a chunk of the prompt has begun before the worker is told to stop, so the whole request is
 * awaited, and the time is the engine's own. Decoding and scaling the picture count.
 */
async function picture({ engine, isGpu }: Side, pixels: number): Promise<Done> {
  const url = URL.createObjectURL(await noise(pixels));
  const stop = new AbortController();
  const content = [
    { type: "image_url" as const, image_url: { url } },
    { type: "text" as const, text: "a" },
  ];
  const request = { messages: [{ role: "user" as const, content }], max_tokens: 1, temperature: 0 };
  const began = performance.now();
  const stopped = engine.chat.completions.create(request, {
    signal: stop.signal,
    onProgress: (event) => {
      if (isGpu && event.kind === "progress" && event.stage === "vision" && event.done === event.total) stop.abort();
    },
  });
  try {
    if (!isGpu) {
      const { prepare_ms, vision_ms } = (await stopped).usage.ocelli;
      return { seconds: (prepare_ms + vision_ms) / 1000, said: "", isPart: true };
    }
    const ended = await stopped.then(() => "answered", String);
    if (!stop.signal.aborted) throw new Error(`the picture was not encoded: ${ended}`);
    // The worker answers this once it is done with the picture.
    await engine.memoryNow();
    return { seconds: (performance.now() - began) / 1000, said: "" };
  } finally {
    URL.revokeObjectURL(url);
  }
}

async function noise(side: number): Promise<Blob> {
  const canvas = new OffscreenCanvas(side, side);
  const paint = canvas.getContext("2d");
  if (!paint) throw new Error("no canvas");
  const image = paint.createImageData(side, side);
  for (let at = 0; at < image.data.length; at++) image.data[at] = at % 4 === 3 ? 255 : 256 * Math.random();
  paint.putImageData(image, 0, 0);
  return canvas.convertToBlob();
}
