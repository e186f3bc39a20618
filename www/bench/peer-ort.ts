/**
 * The worker that runs onnxruntime-web: a decoder with its cache kept where it was computed, and a tower, as transformers.js runs
 * them. Answers each message with a result, or a string that describes an error.
 */
import { patchGrid } from "./peer-grid.js";
import type { Done, OrtCall, TowerShape } from "./peer-types.js";

type Data = Float32Array | BigInt64Array;

interface Tensor {
  readonly dims: readonly number[];
  readonly data: Data;
  dispose(): void;
}

interface Session {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  run(feeds: Record<string, Tensor>): Promise<Record<string, Tensor>>;
}

/** The used part of onnxruntime-web, which is installed for this benchmark alone. */
interface Ort {
  readonly env: { readonly versions: { readonly web?: string }; readonly wasm: { numThreads: number } };
  readonly Tensor: new (type: "float32" | "int64", data: Data, dims: readonly number[]) => Tensor;
  readonly InferenceSession: { create(model: string, options: object): Promise<Session> };
}

let ort: Ort;
let decoder: Session;
let tower: Session | undefined;
let cacheShape: readonly number[] = [];
/** The prompt's cache, its length and the token it ends in. */
let prompted: { cache: Cache; length: number; token: number } | undefined;

type Cache = Map<string, Tensor>;

addEventListener("message", ({ data }: MessageEvent<OrtCall>) => {
  answer(data).then(
    (result) => postMessage(result),
    (thrown: unknown) => postMessage(thrown instanceof Error ? `${thrown.message}` : String(thrown)),
  );
});

function answer(call: OrtCall): Promise<object> {
  switch (call.kind) {
    case "open":
      return open(call);
    case "prompt":
      return prompt(call.ids);
    case "decode":
      return decode(call.tokens);
    case "picture":
      return picture(call.shape, call.side);
  }
}

async function open(call: OrtCall & { kind: "open" }): Promise<{ version: string; threads: number; seconds: number }> {
  const began = performance.now();
  ort = (await import(call.library)) as Ort;
  const onGpu = call.provider === "webgpu";
  // Threads need a cross-origin isolated page, which this one is.
  if (!onGpu) ort.env.wasm.numThreads = navigator.hardwareConcurrency;
  const { layers, heads, width } = call.cache;
  cacheShape = [1, heads, 0, width];
  const present = Array.from({ length: layers }, (_, i) => [`present.${i}.key`, `present.${i}.value`]).flat();
  const options = { executionProviders: [call.provider] };
  const file = "model.onnx.data";
  decoder = await ort.InferenceSession.create(call.decoder, {
    ...options,
    externalData: [{ path: file, data: new URL(file, new URL(call.decoder, location.href)).href }],
    ...(onGpu && { preferredOutputLocation: Object.fromEntries(present.map((name) => [name, "gpu-buffer"])) }),
  });
  tower = call.tower === null ? undefined : await ort.InferenceSession.create(call.tower, options);
  const seconds = (performance.now() - began) / 1000;
  return { version: ort.env.versions.web ?? "", threads: onGpu ? 0 : ort.env.wasm.numThreads, seconds };
}

/** A prompt from an empty cache, to its first token. */
async function prompt(ids: number[]): Promise<Done> {
  dispose(prompted?.cache);
  const names = decoder.inputNames.filter((name) => name.startsWith("past_key_values"));
  const empty = new Map(names.map((name) => [name, new ort.Tensor("float32", new Float32Array(), cacheShape)]));
  const began = performance.now();
  const { cache, token } = await step(ids, empty, ids.length);
  const seconds = (performance.now() - began) / 1000;
  dispose(empty);
  prompted = { cache, length: ids.length, token };
  return { seconds, said: `${token}` };
}

/** Greedy tokens after the prompt, whose cache is not changed. */
async function decode(count: number): Promise<Done> {
  if (!prompted) throw new Error("there was no prompt");
  const said: number[] = [];
  let { cache, token } = prompted;
  const began = performance.now();
  for (let index = 1; index <= count; index++) {
    const next = await step([token], cache, prompted.length + index);
    if (cache !== prompted.cache) dispose(cache);
    ({ cache, token } = next);
    said.push(token);
  }
  const seconds = (performance.now() - began) / 1000 / count;
  if (cache !== prompted.cache) dispose(cache);
  return { seconds, said: said.join(" ") };
}

/** One run over `ids`, which end at `length`. */
async function step(ids: number[], past: Cache, length: number): Promise<{ cache: Cache; token: number }> {
  const outputs = await decoder.run({
    input_ids: int64(ids, [1, ids.length]),
    attention_mask: int64(Array<number>(length).fill(1), [1, length]),
    ...Object.fromEntries(past),
  });
  const present = [...past.keys()].map((name) => [name, output(outputs, name.replace("past_key_values", "present"))] as const);
  return { cache: new Map(present), token: likeliest(output(outputs, "logits")) };
}

function dispose(cache: Cache | undefined): void {
  for (const tensor of cache?.values() ?? []) tensor.dispose();
}

/** Features of a picture of noise; making the picture is not counted. */
async function picture(shape: TowerShape, side: number): Promise<Done> {
  if (!tower) throw new Error("no tower was opened");
  const { cos, sin, squares, patches } = patchGrid(shape, side);
  const pixels = Float32Array.from({ length: 3 * side * side }, () => 2 * Math.random() - 1);
  const feeds = {
    pixels: new ort.Tensor("float32", pixels, [1, 3, side, side]),
    cos: new ort.Tensor("float32", cos, [patches, shape.headDim / 2]),
    sin: new ort.Tensor("float32", sin, [patches, shape.headDim / 2]),
    positions: int64(
      Array.from({ length: patches }, (_, i) => i),
      [1, patches],
    ),
    squares: int64(squares, [patches]),
  };
  const began = performance.now();
  const features = output(await tower.run(feeds), "features"); // [tokens, text hidden]
  const seconds = (performance.now() - began) / 1000;
  if (features.dims[0] !== patches / shape.merge ** 2) throw new Error(`features of shape ${features.dims.join()}`);
  finite(features);
  return { seconds, said: features.dims.join(" x ") };
}

function int64(values: number[], dims: number[]): Tensor {
  return new ort.Tensor("int64", BigInt64Array.from(values, BigInt), dims);
}

function output(outputs: Record<string, Tensor>, name: string): Tensor {
  const tensor = outputs[name];
  if (!tensor) throw new Error(`no output ${name}`);
  return tensor;
}

/** The values, none of which may be infinite or not a number. */
function finite(tensor: Tensor): Float32Array {
  const values = tensor.data as Float32Array;
  if (!values.every(Number.isFinite)) throw new Error("an output is not finite");
  return values;
}

function likeliest(logits: Tensor): number {
  const values = finite(logits); // [1, 1, vocab]
  return values.reduce((best, value, index) => (value > (values[best] as number) ? index : best), 0);
}
