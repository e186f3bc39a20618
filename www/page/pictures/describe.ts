/** The questions about a picture of an album, one after another, and the texts that come of their answers. */
import { altInstruction } from "../../src/img-alt/instruction.js";
import { writeAlt, writeLong, type AltAnswer, type AltFlag, type AltQuestion } from "../../src/img-alt/text.js";
import type { AlbumRow, AlbumTask } from "../store/schema.js";

/** Texts about a picture; only those that were asked for. */
export interface Written {
  alt?: string;
  maybeDecorative?: boolean;
  flags?: AltFlag[];
  caption?: string;
  words?: string;
  long?: string;
}

/** Instructions that a model has learnt, in place of the usual ones. */
export interface Learnt {
  describe: string;
  read: string;
}

const [CAPTION_TOKENS, WORDS_TOKENS] = [120, 1024];

/** Asks for the texts that the row does not have yet. */
export function* describe(row: AlbumRow, task: AlbumTask, learnt: Learnt | null): Generator<AltQuestion, Written, AltAnswer> {
  const written: Written = {};
  const name = row.path.split("/").at(-1) ?? "";
  const context = [task.context, row.context].filter(Boolean).join(" ");
  const { language } = task;
  if (task.writes.includes("caption") && !row.caption) {
    const asked = learnt?.describe ?? `Write a caption for this picture: one sentence in the language "${language}", at most 15 words.`;
    written.caption = oneLine((yield { turns: [asked], maxTokens: CAPTION_TOKENS }).text);
  }
  if (task.writes.includes("words") && !row.words) {
    const asked =
      learnt?.read ??
      "Write down all text in this picture, line by line, exactly as it stands, in the order of reading. Write nothing else. " +
        "If there is none, write: (no text)";
    const { text } = yield { turns: [asked], maxTokens: WORDS_TOKENS };
    written.words = /^\(no text\)\.?$/i.test(text.trim()) ? "" : text.trim();
  }
  if (!task.writes.includes("alt") || row.isDecorative) return written;
  const caption = written.caption || row.caption;
  const instruction = learnt?.describe ?? altInstruction({ language, context, caption });
  if (!row.alt) {
    const { text, isDecorative, flags } = yield* writeAlt(instruction, name);
    Object.assign(written, { alt: text, maybeDecorative: isDecorative, flags });
  }
  const short = written.alt ?? row.alt;
  if (task.isLong && !row.long && !learnt && !written.maybeDecorative) written.long = yield* writeLong(instruction, short, language);
  return written;
}

/** True if no text of the row is missing. */
export function isWritten(row: AlbumRow, task: AlbumTask, learnt: Learnt | null): boolean {
  return describe(row, task, learnt).next().done ?? false;
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, " ").trim();
}
