/** Models that are known to run, and their requirements. A number that is not known for certain is `null`. */
import type { GgufSource, SafetensorsSource } from "../import/model-source.js";
import models from "./models.json" with { type: "json" };

/** A model that is known to run. */
export interface RegisteredModel {
  id: string;
  name: string;
  /** A description of its uses, one or two sentences. */
  about: string;
  /** Licence of the weights, as the publisher names it. */
  license: string;
  /** The source for `Engine.load`, at the commit if there is one. */
  source: GgufSource | SafetensorsSource;
  /** The commit of the repository on huggingface.co that was tested. */
  commit?: string;
  /** Size of the checkpoint, read from its source. */
  downloadBytes: number | null;
  /** Size of the checkpoint's weights in BF16, computed from the shapes, where nobody read it from the source. */
  downloadEstimate?: number;
  /** Size of the package made from it: what the browser stores, and the weights on the GPU. */
  packageBytes: number;
  /**
   * Bytes of GPU memory by the plan (docs/memory.md): with everything on the GPU and a context of 4096 tokens, and the smallest budget
   * that is not refused.
   */
  gpuMemory: { all: number; least: number };
}

/**
 * Sizes follow from the shapes and layouts of the tensors: `tests/gpu/memory/shapes.rs` computes them. `ocelli pull` reads the same file.
 */
export const registry: readonly RegisteredModel[] = (models as readonly RegisteredModel[]).map(atCommit);

/** The model with addresses of its commit in place of the branch `main`. */
export function atCommit(model: RegisteredModel): RegisteredModel {
  const { commit, source } = model;
  if (commit === undefined) return model;
  const pinned = Object.entries(source).map(([name, url]) => [name, String(url).replace("/resolve/main/", `/resolve/${commit}/`)]);
  return { ...model, source: Object.fromEntries(pinned) as RegisteredModel["source"] };
}
