/** Markdown as tokens. Loaded with the first answer. */
import { Lexer, Tokenizer, type Token } from "marked";

/** Definitions of links would change text that is shown already, so there are none. */
class StreamTokenizer extends Tokenizer {
  override def(): undefined {
    return undefined;
  }
}

/** Blocks of a group. */
const GROUP = 32;

/** The tokens of a text that grows: only what follows the last finished block is read again. */
export class MarkdownBlocks {
  private text = "";
  /** Groups of finished blocks. */
  private groups: readonly (readonly Token[])[] = [];
  /** Finished blocks after them, fewer than a group. */
  private finished: readonly Token[] = [];
  /** Letters of both. */
  private length = 0;

  /** The tokens of `text` in groups. Finished tokens and full groups are the same objects as before, so that they need not be compared. */
  of(text: string): readonly (readonly Token[])[] {
    if (!text.startsWith(this.text.slice(0, this.length))) [this.groups, this.finished, this.length] = [[], [], 0];
    this.text = text;
    const rest = new Lexer({ gfm: true, tokenizer: new StreamTokenizer() }).lex(text.slice(this.length));
    // A list and a table may continue after an empty line.
    const last = rest.findLastIndex(({ type }) => type !== "space");
    const done = rest.slice(0, Math.max(0, last));
    // The lexer folds line ends and tabs, so lengths count only if they are those of the text.
    const raw = done.map((token) => token.raw).join("");
    if (!text.startsWith(raw, this.length)) return [...this.groups, ...grouped([...this.finished, ...rest])];
    this.length += raw.length;
    const finished = grouped([...this.finished, ...done]);
    this.finished = (finished.at(-1)?.length ?? GROUP) < GROUP ? (finished.pop() ?? []) : [];
    this.groups = [...this.groups, ...finished];
    return [...this.groups, ...grouped([...this.finished, ...rest.slice(done.length)])];
  }
}

function grouped(tokens: readonly Token[]): (readonly Token[])[] {
  return Array.from({ length: Math.ceil(tokens.length / GROUP) }, (_, index) => tokens.slice(GROUP * index, GROUP * (index + 1)));
}
