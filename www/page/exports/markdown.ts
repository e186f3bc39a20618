/** Markdown, and plain texts for files beside the pictures. */
import type { Album, AlbumRow } from "../store/schema.js";
import { relativeAddress } from "./record.js";

/** The rows as pictures with their alternative texts, captions and descriptions. */
export function markdownOf({ title }: Album, rows: readonly AlbumRow[]): string {
  const parts = rows.map((row) => {
    const picture = `![${plain(row.isDecorative ? "" : row.alt)}](${relativeAddress(row.path).replace(/[()]/g, encodedBracket)})`;
    return [picture, plain(row.caption), plain(row.words), plain(row.long)].filter(Boolean).join("\n\n");
  });
  return `${[`# ${plain(title)}`, ...parts].join("\n\n")}\n`;
}

function encodedBracket(letter: string): string {
  return letter === "(" ? "%28" : "%29";
}

/** Text in which nothing is read as Markdown or HTML. */
function plain(text: string): string {
  return text
    .replace(/[\\`*_[\]<>#|~&]/g, "\\$&")
    .replace(/\s+/g, " ")
    .trim();
}

/** Files of the alternative texts of `rows`, each beside its picture. */
export function textFilesOf(rows: readonly AlbumRow[]): { path: string; text: string }[] {
  return rows.filter(({ alt }) => alt !== "").map(({ path, alt }) => ({ path: `${path}.txt`, text: `${alt}\n` }));
}
