/** Formats of answers, from a separate wasm module that is loaded when a request first needs it. */
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

  /** The grammar for the answers of `work`; `undefined` if they have no format. */
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

  /** Resets the module: after a panic its memory may be inconsistent. */
  private startAnew(): void {
    this.loaded.forget();
    startAnew();
  }

  free(): void {
    // Running answers keep their grammars.
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
