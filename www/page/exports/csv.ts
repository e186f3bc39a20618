/** CSV by RFC 4180, for spreadsheets: no field is read as a formula. */
import type { AlbumRow } from "../store/schema.js";
import { COLUMNS, recordOf, type AlbumRecord } from "./record.js";

/** Values that a spreadsheet would compute, and values that begin with the mark itself. */
const MARKED = /^(\s*[=+\-@]|[\t\r\n']|')/;

/** A table of the rows, with a byte order mark and a header. */
export function csvOf(rows: readonly AlbumRow[]): string {
  const lines = rows.map((row) => {
    const record = recordOf(row);
    return COLUMNS.map((column) => quoted(textOf(record[column]))).join(",");
  });
  return `\uFEFF${[COLUMNS.map(quoted).join(","), ...lines].join("\r\n")}\r\n`;
}

function textOf(value: AlbumRecord[keyof AlbumRecord]): string {
  if (typeof value === "boolean") return value ? "yes" : "no";
  return Array.isArray(value) ? value.join(" ") : String(value ?? "");
}

function quoted(value: string): string {
  return `"${(MARKED.test(value) ? `'${value}` : value).replaceAll('"', '""')}"`;
}

/** Reads a table into one object for each line, by the names of its header; also one that a spreadsheet has saved with semicolons or tabs. */
export function readCsv(text: string): Map<string, string>[] {
  const [header = [], ...lines] = cellsOf(text.replace(/^\uFEFF/, ""));
  const names = header.map((name) => name.trim().toLowerCase());
  return lines
    .filter((cells) => cells.length > 1 || cells[0] !== "")
    .map((cells) => new Map(names.map((name, index) => [name, unmarked(cells[index] ?? "")])));
}

function unmarked(value: string): string {
  return value.startsWith("'") ? value.slice(1) : value;
}

function cellsOf(text: string): string[][] {
  const separator = /^[^,;\t\r\n]*([,;\t])/.exec(text)?.[1] ?? ",";
  const lines: string[][] = [];
  let cells: string[] = [];
  for (let at = 0; at < text.length; ) {
    let value = "";
    if (text[at] === '"') {
      for (at += 1; at < text.length; at += 1) {
        const end = text.indexOf('"', at);
        value += text.slice(at, end < 0 ? text.length : end);
        at = end < 0 ? text.length : end + 1;
        if (text[at] !== '"') break;
        value += '"';
      }
    }
    // Outside of quotation marks.
    const from = at;
    while (at < text.length && text[at] !== separator && text[at] !== "\n" && text[at] !== "\r") at += 1;
    cells.push(value + text.slice(from, at));
    if (text[at] === separator && at + 1 < text.length) at += 1;
    else {
      if (text[at] === separator) cells.push("");
      lines.push(cells);
      cells = [];
      at += text.startsWith("\r\n", at) ? 2 : 1;
    }
  }
  return lines;
}
