/** One HTML file beside the pictures, without scripts. */
import type { Album, AlbumRow } from "../store/schema.js";
import { relativeAddress } from "./record.js";

const POLICY = "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'";
const STYLE =
  ":root{color-scheme:light dark;font:1rem/1.5 system-ui,sans-serif}body{max-width:60rem;margin:2rem auto;padding:0 1rem}" +
  "figure{margin:2rem 0}img{max-width:100%;height:auto}figcaption,summary{margin-block:.4rem}";

/** Words of the export. */
export interface HtmlWords {
  longDescription: string;
}

/** The rows as figures. `thumbnails` has the addresses (`data:`) of pictures that are inside the file, by the row's id. */
export function htmlOf(
  { title, task }: Album,
  rows: readonly AlbumRow[],
  words: HtmlWords,
  thumbnails: ReadonlyMap<string, string> = new Map(),
): string {
  const language = escaped(/^[a-z]{2,3}(-\w+)*$/i.test(task.language) ? task.language : "und");
  const figures = rows.map((row) => figureOf(row, thumbnails.get(row.id) ?? relativeAddress(row.path), words));
  return [
    "<!doctype html>",
    `<html lang="${language}">`,
    "<head>",
    '<meta charset="utf-8">',
    `<meta http-equiv="Content-Security-Policy" content="${escaped(POLICY)}">`,
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    `<title>${escaped(title)}</title>`,
    `<style>${STYLE}</style>`,
    "</head>",
    "<body>",
    "<main>",
    `<h1>${escaped(title)}</h1>`,
    ...figures,
    "</main>",
    "</body>",
    "</html>",
    "",
  ].join("\n");
}

function figureOf(row: AlbumRow, address: string, words: HtmlWords): string {
  const long = row.long ? `<details><summary>${escaped(words.longDescription)}</summary><p>${escaped(row.long)}</p></details>` : "";
  return `<figure>${imageTag(row, address)}<figcaption>${escaped(row.caption || row.path)}${long}</figcaption></figure>`;
}

/** The `<img>` of a row. */
export function imageTag(row: AlbumRow, address = relativeAddress(row.path)): string {
  const size = row.width && row.height ? ` width="${row.width}" height="${row.height}"` : "";
  // White space alone would be read aloud as a picture without a text.
  const alt = row.isDecorative ? "" : escaped(row.alt);
  return `<img src="${escaped(address)}" alt="${alt.trim() === "" ? "" : alt}"${size}>`;
}

const ENTITIES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

/** Text for HTML, in elements and in attributes. */
export function escaped(text: string): string {
  // HTML has no place for NUL, and reads CR as LF.
  return text.replaceAll("\0", "").replace(/[&<>"']/g, (letter) => ENTITIES[letter] ?? letter);
}
