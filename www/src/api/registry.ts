/** Models that are known to run, and their requirements. */
import {
  wireSource,
  type FilePin,
  type GgufSource,
  type ModelSource,
  type SafetensorsSource,
  type WireSource,
} from "../import/model-source.js";
import models from "./models.json" with { type: "json" };

/** A task that a model does well. */
export type ModelSkill = "describe" | "read" | "documents" | "boxes" | "reasoning" | "tools" | "search";

/** A size of a model that may be an estimate. */
export type ModelSize = "downloadBytes" | "packageBytes" | "gpuMemory";

/** A model that is known to run. */
export interface RegisteredModel {
  id: string;
  name: string;
  /** A description of its uses, one or two sentences. */
  about: string;
  /** Licence of the weights, as the publisher names it. */
  license: string;
  /** True if the publisher gives access on request only: a page cannot download it. */
  isGated?: boolean;
  /** Languages by their ISO 639 codes; `many` for more than 30. */
  languages: readonly string[] | "many";
  /** Tasks that it does well for its size. */
  goodAt: readonly ModelSkill[];
  /** The least device on which it answers at reading speed. */
  device: "phone" | "laptop" | "desktop" | "workstation";
  /** The source for `Engine.load`, at the commit if there is one. */
  source: GgufSource | SafetensorsSource;
  /** The commit of the repository on huggingface.co whose sizes and hashes are listed. */
  commit?: string;
  /** Contents of the files that are read, by name. An import checks them. */
  files?: Readonly<Record<string, FilePin>>;
  /** Bytes over the network; `null` if not known, which no row of `registry` has. */
  downloadBytes: number | null;
  /** Size of the package made from it: what the browser stores, and the weights on the GPU. */
  packageBytes: number;
  /**
   * Bytes of GPU memory by the plan (docs/memory.md): with everything on the GPU and a context of 4096 tokens, and the smallest budget
   * that is not refused.
   */
  gpuMemory: { all: number; least: number };
  /** Sizes that were computed from the shapes of the tensors and the usual types of such files, not read from the files. */
  estimates?: readonly ModelSize[];
}

/** Known models, the smallest download first. `tests/gpu/memory/shapes.rs` computes the sizes, `ocelli pull` reads the same file. */
export const registry: readonly RegisteredModel[] = (models as readonly RegisteredModel[]).map(atCommit);

/** The known model of this id; `undefined` if there is none. */
export function known(id: string): RegisteredModel | undefined {
  return registry.find((model) => model.id === id);
}

/** The source that a text names: that of the known model of this id, else the text as an address. Other sources are unchanged. */
export function sourceOf(source: ModelSource): ModelSource {
  return typeof source === "string" ? (known(source)?.source ?? source) : source;
}

/** Contents of the files of a known model with this source. */
export async function pinsOf(source: WireSource): Promise<RegisteredModel["files"]> {
  const text = JSON.stringify(source);
  for (const { files, source } of registry) {
    if (files && JSON.stringify(await wireSource(source)) === text) return files;
  }
  return undefined;
}

/** The model with addresses of its commit in place of the branch `main`. */
export function atCommit(model: RegisteredModel): RegisteredModel {
  const { commit, source } = model;
  if (commit === undefined) return model;
  const pinned = Object.entries(source).map(([name, url]) => [name, String(url).replace("/resolve/main/", `/resolve/${commit}/`)]);
  return { ...model, source: Object.fromEntries(pinned) as RegisteredModel["source"] };
}
