/** Formats of answers, by a wasm module of their own, which is loaded when the first request needs it. */
import { errorData } from "../errors.js";
import { type ModuleUrls, WasmModule } from "../net/wasm-module.js";
import { Once } from "../once.js";
import type { GrammarObject, OcelliVocabulary, OcelliWork } from "../wasm/ocelli.js";
import initGrammar, { __wbg_reset_state as startAnew, Grammars } from "../wasm/ocelli_grammar.js";

const module = new WasmModule("formats", initGrammar);

/** Formats for the answers of one model. */
export class Formats {
  private readonly loaded = new Once(() => this.load());

  constructor(
    private readonly vocabulary: OcelliVocabulary,
    private readonly urls: ModuleUrls,
  ) {}

  /** The grammar of the format that the answers of `work` must have; nothing where any answer will do. */
  async ready(work: OcelliWork): Promise<GrammarObject | undefined> {
    const format = work.format();
    if (!format) return undefined;
    const grammars = await this.loaded.get();
    try {
      return grammars.grammar(format.kind, format.text);
    } catch (thrown) {
      const located: unknown = work.located(thrown);
      if (errorData(located).code === "internal") this.startAnew();
      throw located;
    }
  }

  /** What a fault has left in the module's memory is not used again. */
  private startAnew(): void {
    this.loaded.forget();
    startAnew();
  }

  free(): void {
    // An answer under way keeps its grammar.
    const free = (grammars: Grammars) => grammars.free();
    void this.loaded.current?.then(free, () => undefined);
  }

  /** Takes half a second for a large vocabulary. */
  private async load(): Promise<Grammars> {
    await module.load(this.urls);
    const { vocabulary } = this;
    const encode = (text: string) => vocabulary.encode(text);
    return new Grammars(vocabulary.bytes(), vocabulary.lengths(), vocabulary.control(), vocabulary.eos(), encode);
  }
}
