/** Messages between the parts of the comparison with onnxruntime-web. */

/** A step done. */
export interface Done {
  /** Seconds of the whole step, for answers per token. */
  seconds: number;
  /** The answer in any form; it must be the same in every round. */
  said: string;
  /** True if more was computed than the seconds tell, so that processor times would be too long. */
  isPart?: boolean;
}

/** Parameters of the patches of a picture. */
export interface TowerShape {
  patchSize: number;
  headDim: number;
  theta: number;
  merge: number;
}

export type OrtCall =
  | {
      kind: "open";
      provider: "webgpu" | "wasm";
      /** Paths on this page's server: the library, the decoder with its data beside it, the tower. */
      library: string;
      decoder: string;
      tower: string | null;
      cache: { layers: number; heads: number; width: number };
    }
  | { kind: "prompt"; ids: number[] }
  | { kind: "decode"; tokens: number }
  | { kind: "picture"; shape: TowerShape; side: number };

export interface Opened {
  device: string;
  loadSeconds: number;
  /** From the arrival of the last shard to the first token of the prompt. */
  firstTokenSeconds: number;
  selfTestSeconds: number;
}

/** Functions that `peer-page.ts` provides, each for the contestant of a name. */
export interface OcelliSides {
  /** Loads a package on the GPU, or with so many threads of the processor, and makes a prompt that computes so many tokens. */
  open(name: string, packageUrl: string, tokens: number, threads: number | null): Promise<Opened>;
  /** A new prompt of so many tokens, to its first token. */
  prompt(name: string, tokens: number): Promise<Done>;
  /** Computes the prompt that `decode` continues. */
  hold(name: string): Promise<void>;
  /** Decodes tokens after the prompt. */
  decode(name: string, tokens: number): Promise<Done>;
  picture(name: string, pixels: number): Promise<Done>;
}

/** Functions that `peer-wllama.ts` provides, as those of {@link OcelliSides}. */
export interface WllamaSides {
  open(name: string, libraryUrl: string, modelUrl: string, tokens: number, threads: number): Promise<{ threads: number }>;
  prompt(name: string, tokens: number): Promise<Done>;
  hold(name: string): Promise<void>;
  decode(name: string, tokens: number): Promise<Done>;
}
