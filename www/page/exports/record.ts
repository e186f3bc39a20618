/** The rows of an album as other programs read them. */
import type { AlbumRow } from "../store/schema.js";

/** Names of the columns, in their order. */
export const COLUMNS = [
  "path",
  "file",
  "alt",
  "decorative",
  "long_description",
  "caption",
  "words",
  "language",
  "state",
  "reviewed",
  "flags",
  "had",
  "context",
  "width",
  "height",
  "sha256",
  "model",
  "error",
  "updated_at",
] as const;

/** A row of an export. Times are ISO 8601 in UTC; missing values are `null`. */
export interface AlbumRecord {
  path: string;
  file: string;
  alt: string;
  decorative: boolean;
  long_description: string | null;
  caption: string | null;
  words: string | null;
  language: string | null;
  state: string;
  reviewed: boolean;
  flags: string[];
  had: string | null;
  context: string | null;
  width: number | null;
  height: number | null;
  sha256: string | null;
  model: string | null;
  error: string | null;
  updated_at: string;
}

export function recordOf(row: AlbumRow): AlbumRecord {
  return {
    path: row.path,
    file: row.path.split("/").at(-1) ?? row.path,
    alt: row.isDecorative ? "" : row.alt,
    decorative: row.isDecorative,
    long_description: row.long || null,
    caption: row.caption || null,
    words: row.words || null,
    language: row.language || null,
    state: row.state === "reviewed" ? "done" : row.state,
    reviewed: row.state === "reviewed",
    flags: row.flags,
    had: row.had,
    context: row.context || null,
    width: row.width || null,
    height: row.height || null,
    sha256: row.picture,
    model: row.model,
    error: row.error && `${row.error.code}: ${row.error.message}`,
    updated_at: new Date(row.updatedAt).toISOString(),
  };
}

/** The name of an export: letters, digits and `-_.` stay. */
export function exportName(title: string, end: string, at = new Date()): string {
  return `${title.replace(/[^\p{L}\p{N}\-_.]/gu, "_") || "album"}-${at.toISOString().slice(0, 10)}.${end}`;
}

/** An address relative to the export. */
export function relativeAddress(path: string): string {
  return path.split("/").map(encodeURIComponent).join("/");
}
