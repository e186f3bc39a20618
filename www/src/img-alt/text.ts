/** Alternative texts: the questions to a model, the reading of its answers, and flags for reviewers. */
import { languageName } from "./instruction.js";

/**
 * Possible faults of a text. `short`: 10 characters or fewer. `long`: 200 or more. `cut`: it has no end. `prefix`: it begins with a word for
 * picture. `filename`: it names the file. `same`: another picture has the same text.
 */
export type AltFlag = "short" | "long" | "cut" | "prefix" | "filename" | "same";

/** A question about a picture: turns of user and assistant, the user's first. The picture belongs to the first turn. */
export interface AltQuestion {
  turns: string[];
  maxTokens: number;
}

/** An answer of a model. */
export interface AltAnswer {
  text: string;
  /** True if it reached `maxTokens`. */
  isCut: boolean;
}

/** A written alternative text. */
export interface AltText {
  /** Empty if the model suggests that the picture is decorative. */
  text: string;
  isDecorative: boolean;
  flags: AltFlag[];
}

/** Most characters of a short text, fewest of a long one, and most that are not shortened. */
const [SHORT, LONG, MOST] = [10, 200, 250];
const MAX_TOKENS = 120;
const LONG_TOKENS = 600;
const SHORTEN = "Shorten this to at most 125 characters. Keep quoted words.";

/** Words for picture at the beginning of a text in English, German, Spanish, French, Arabic and Chinese. */
const PREFIX = new RegExp(
  [
    "^(the |an? |this )?((close-up|black and white|aerial) )?(image|picture|photo|photograph|graphic|illustration|drawing|screenshot)( (of|shows|showing|depicts)\\b|:)",
    "^(das |ein |eine |dieses |die )?(bild|foto|abbildung|grafik|illustration|zeichnung|aufnahme)( (von|vom|des|der|zeigt|mit|einer|eines)\\b|:)",
    "^(la |una? |el |esta )?(imagen|foto|fotografía|ilustración|gráfico|dibujo)( (de|del|muestra|que)\\b|:)",
    "^(l['’]|une? |la |le |cette )?(image|photo|photographie|illustration|dessin|graphique)( (de|du|des|d['’]|montre|représentant)|:)",
    "^(هذه )?(ال)?(صورة|رسم|لقطة)",
    "^(这是|这|一)?(张|幅|个)?(图片|照片|图像|图中|画面)",
  ].join("|"),
  "iu",
);
const FILE_NAME = /\.(avif|gif|heic|heif|jpe?g|png|tiff?|webp)\b|\b(dsc|dscn|dscf|img|pxl|screenshot)[-_]?\d{3,}/i;

/** Asks for an alternative text by `instruction`: once more if the answer is cut, and once more if it is too long. */
export function* writeAlt(instruction: string, file = ""): Generator<AltQuestion, AltText, AltAnswer> {
  const turns = [instruction];
  let answer = yield { turns, maxTokens: MAX_TOKENS };
  if (answer.isCut) answer = yield { turns, maxTokens: 2 * MAX_TOKENS };
  let text = readAlt(answer.text);
  if (text.length > MOST && !answer.isCut) {
    const shorter = yield { turns: [instruction, text, SHORTEN], maxTokens: MAX_TOKENS };
    const read = readAlt(shorter.text);
    if (read && !shorter.isCut && read.length < text.length) text = read;
  }
  const isDecorative = /^DECORATIVE\.?$/.test(text);
  if (isDecorative) return { text: "", isDecorative, flags: [] };
  return { text, isDecorative, flags: [...altFlags(text, file), ...(answer.isCut ? (["cut"] as const) : [])] };
}

/** Asks for a long description after the short text. */
export function* writeLong(instruction: string, short: string, language: string): Generator<AltQuestion, string, AltAnswer> {
  const question =
    `Describe this picture in full for somebody who cannot see it, in ${languageName(language)}: ` +
    "first the whole, then the parts in the order of reading, numbers and words as they stand.";
  const { text } = yield { turns: [...(short ? [instruction, short] : []), question], maxTokens: LONG_TOKENS };
  return text.trim();
}

/** The text of an answer: on one line, without quotation marks around the whole. */
export function readAlt(answer: string): string {
  const text = answer.replace(/\s+/g, " ").trim();
  const inner = /^(?:"([^"]+)"|“([^“”]+)”|„([^„“]+)“|«\s*([^«»]+?)\s*»|'([^']+)')$/.exec(text);
  return inner?.slice(1).find((part) => part !== undefined) ?? text;
}

/** Flags of a text that depend on it and on the name of its file alone. */
export function altFlags(text: string, file = ""): AltFlag[] {
  const flags: AltFlag[] = [];
  if (text.length <= SHORT) flags.push("short");
  if (text.length >= LONG) flags.push("long");
  if (PREFIX.test(text)) flags.push("prefix");
  const stem = file.replace(/\.\w+$/, "").toLowerCase();
  if (FILE_NAME.test(text) || (stem !== "" && text.toLowerCase() === stem)) flags.push("filename");
  return flags;
}
