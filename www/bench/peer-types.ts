/** Messages between the parts of the comparison with onnxruntime-web. */

/** A step done. */
export interface Done {
  /** Seconds of the whole step, for answers per token. */
  seconds: number;
  /** The answer in any form; it must be the same in every round. */
  said: string;
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

/** Functions that `peer-page.ts` provides. */
export interface OcelliSide {
  /** Loads a package, and makes a prompt that computes so many tokens. */
  open(packageUrl: string, tokens: number): Promise<Opened>;
  /** A new prompt of so many tokens, to its first token. */
  prompt(tokens: number): Promise<Done>;
  /** Computes the prompt that `decode` continues. */
  hold(): Promise<void>;
  /** Decodes tokens after the prompt. */
  decode(tokens: number): Promise<Done>;
  picture(side: number): Promise<Done>;
}
