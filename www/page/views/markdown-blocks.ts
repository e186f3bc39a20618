/** Markdown as tokens. Loaded with the first answer. */
import { Lexer, Tokenizer, type Token } from "marked";

/** Definitions of links would change text that is shown already, so there are none. */
class StreamTokenizer extends Tokenizer {
  override def(): undefined {
    return undefined;
  }
}

/** The tokens of a text that grows: only what follows the last finished block is read again. */
export class MarkdownBlocks {
  private text = "";
  private finished: readonly Token[] = [];
  /** Letters of `finished`. */
  private length = 0;

  /** The tokens of `text`. Equal ones are the same objects as before. */
  of(text: string): readonly Token[] {
    if (!text.startsWith(this.text.slice(0, this.length))) [this.finished, this.length] = [[], 0];
    this.text = text;
    const rest = new Lexer({ gfm: true, tokenizer: new StreamTokenizer() }).lex(text.slice(this.length));
    // A list and a table may continue after an empty line.
    const last = rest.findLastIndex(({ type }) => type !== "space");
    const done = rest.slice(0, Math.max(0, last));
    const tokens = [...this.finished, ...rest];
    // The lexer folds line ends and tabs, so lengths count only if they are those of the text.
    const raw = done.map((token) => token.raw).join("");
    if (text.startsWith(raw, this.length)) [this.finished, this.length] = [[...this.finished, ...done], this.length + raw.length];
    return tokens;
  }
}
