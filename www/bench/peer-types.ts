/** What the parts of the comparison with onnxruntime-web say to one another. */

/** A step done. */
export interface Done {
  /** Of the whole step; of an answer, per token. */
  seconds: number;
  /** What was answered, in whatever form: it must be the same in every round. */
  said: string;
}

/** What a picture's patches depend on. */
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

/** What `peer-page.ts` gives the benchmark. */
export interface OcelliSide {
  /** Loads a package, and makes a prompt that computes so many tokens. */
  open(packageUrl: string, tokens: number): Promise<Opened>;
  /** A new prompt of so many tokens, to its first token. */
  prompt(tokens: number): Promise<Done>;
  /** Computes the prompt that `decode` goes on from. */
  hold(): Promise<void>;
  /** Tokens behind the prompt. */
  decode(tokens: number): Promise<Done>;
  picture(side: number): Promise<Done>;
}
