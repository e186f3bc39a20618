/** Models that are known to run, and what they need. A number that is not known for certain is `null`. */
import type { GgufSource, SafetensorsSource } from "../import/model-source.js";

/** A model that is known to run. */
export interface RegisteredModel {
  id: string;
  name: string;
  /** What it is good for, in a sentence or two. */
  about: string;
  /** Licence of the weights, as the publisher names it. */
  license: string;
  /** What `Engine.load` takes. */
  source: GgufSource | SafetensorsSource;
  /** Size of the checkpoint. */
  downloadBytes: number | null;
  /** Size of the package made from it: what the browser stores, and the weights on the GPU. */
  packageBytes: number;
  /**
   * Bytes of GPU memory by the plan (docs/memory.md): with everything on the GPU and a context of 4096 tokens, and the least budget that is
   * not refused.
   */
  gpuMemory: { all: number; least: number };
}

const HUB = "https://huggingface.co/mistralai";

/** The publisher's files: 4-bit text weights (Q4_K_M) and the vision tower in 16 bits. */
function ministral(size: string): GgufSource {
  const name = `Ministral-3-${size}-Instruct-2512`;
  const file = (suffix: string) => `${HUB}/${name}-GGUF/resolve/main/${name}-${suffix}.gguf`;
  return { gguf: file("Q4_K_M"), mmproj: file("BF16-mmproj") };
}

/** Sizes follow from the shapes of the tensors and the layouts they are stored in: `tests/gpu/memory/shapes.rs` computes them. */
export const registry: readonly RegisteredModel[] = [
  {
    id: "ministral-3-3b-instruct-2512",
    name: "Ministral 3 3B Instruct",
    about: "Sees photographs, reads text in them, speaks many languages. For most laptops and desktop machines.",
    license: "Apache-2.0",
    source: ministral("3B"),
    downloadBytes: 2_147_023_008 + 841_501_856,
    packageBytes: 3_021_066_240,
    gpuMemory: { all: 3_834_364_036, least: 2_367_092_484 },
  },
  {
    id: "ministral-3-8b-instruct-2512",
    name: "Ministral 3 8B Instruct",
    about: "More knowledge and care than the 3B. For GPUs with memory to spare.",
    license: "Apache-2.0",
    source: ministral("8B"),
    downloadBytes: 5_198_911_904 + 858_283_168,
    packageBytes: 6_156_378_112,
    gpuMemory: { all: 7_153_455_236, least: 5_553_636_612 },
  },
  {
    id: "ministral-3-14b-instruct-2512",
    name: "Ministral 3 14B Instruct",
    about: "The largest of its family. For big GPUs.",
    license: "Apache-2.0",
    source: ministral("14B"),
    downloadBytes: 8_239_593_024 + 879_258_784,
    packageBytes: 9_283_170_304,
    gpuMemory: { all: 10_434_666_628, least: 8_727_631_108 },
  },
  {
    id: "mistral-small-3.1-24b-instruct-2503",
    name: "Mistral Small 3.1 24B Instruct",
    about: "An older, larger sister, quantised to 4 bits on this device. For the biggest GPUs.",
    license: "Apache-2.0",
    source: { safetensors: `${HUB}/Mistral-Small-3.1-24B-Instruct-2503/resolve/main/` },
    downloadBytes: null,
    packageBytes: 13_508_898_816,
    gpuMemory: { all: 14_660_395_140, least: 13_482_169_604 },
  },
];
