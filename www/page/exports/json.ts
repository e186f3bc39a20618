/** JSON, as one document and line by line. */
import type { Album, AlbumRow } from "../store/schema.js";
import { recordOf } from "./record.js";

/** An object for each row, one a line. */
export function jsonLinesOf(rows: readonly AlbumRow[]): string {
  return rows.map((row) => `${oneLine(objectOf(row))}\n`).join("");
}

/** The album with its rows. */
export function jsonOf({ title, task }: Album, rows: readonly AlbumRow[], at = new Date()): string {
  const album = { format: "ocelli-album", version: 1, exportedAt: at.toISOString(), title, task, rows: rows.map(objectOf) };
  return `${JSON.stringify(album, null, 2)}\n`;
}

function objectOf(row: AlbumRow): object {
  return { ...recordOf(row), usage: row.usage };
}

/** JavaScript reads these two as ends of lines. */
function oneLine(value: object): string {
  return JSON.stringify(value).replaceAll("\u2028", "\\u2028").replaceAll("\u2029", "\\u2029");
}
