/** Exports of albums, and the import of a table. */
import { csvOf, readCsv } from "../exports/csv.js";
import { htmlOf } from "../exports/html.js";
import { jsonLinesOf, jsonOf } from "../exports/json.js";
import { markdownOf, textFilesOf } from "../exports/markdown.js";
import { exportName } from "../exports/record.js";
import type { ZipFile } from "../exports/zip.js";
import { embed } from "../pictures/embed.js";
import { OUTPUT, writeIn } from "../pictures/folder.js";
import type { Album, AlbumRow, Id } from "../store/schema.js";
import { albumWords } from "../words/albums.js";
import { fileOf, thumbnailOf } from "./album-files.js";
import { edited, flagsOf, type Edit } from "./album-review.js";
import { changeRows, shelfOf } from "./albums.js";
import { saveArchives, saveFile } from "./save.js";

export type Format = "xmp" | "csv" | "jsonl" | "json" | "html" | "markdown" | "text";
export const FORMATS: readonly Format[] = ["xmp", "csv", "jsonl", "json", "html", "markdown", "text"];

/** An export that was chosen. */
export interface Wanted {
  format: Format;
  onlyReviewed: boolean;
  /** The language tag in XMP. */
  language: string;
  hasThumbnails: boolean;
  /** The folder for files; `null` for a download. */
  folder: FileSystemDirectoryHandle | null;
}

/** The result of an export. */
export interface Exported {
  rows: number;
  /** Paths of pictures whose texts stand in a file beside them. */
  sidecars: string[];
  /** Paths of pictures that were not there. */
  missing: string[];
}

/** Follows and ends an export. */
export interface Following {
  signal: AbortSignal;
  onProgress: (done: number, of: number) => void;
}

export async function exportAlbum(album: Album, wanted: Wanted, following: Following): Promise<Exported> {
  const all = [...(await shelfOf(album.id)).value.values()];
  const rows = (wanted.onlyReviewed ? all.filter(({ state }) => state === "reviewed") : all).map((row) => ({
    ...row,
    flags: flagsOf(row),
  }));
  const told: Exported = { rows: rows.length, sidecars: [], missing: [] };
  const { format } = wanted;
  if (format === "xmp") await deliver(copiesOf(rows, wanted, told, following), album, wanted.folder);
  else if (format === "text") await deliver(textsOf(rows), album, wanted.folder);
  else saveFile(exportName(album.title, END[format]), await textOf(album, rows, wanted), TYPES[format]);
  return told;
}

const END = { csv: "csv", jsonl: "jsonl", json: "json", html: "html", markdown: "md" } as const;
const TYPES = {
  csv: "text/csv",
  jsonl: "application/jsonl",
  json: "application/json",
  html: "text/html",
  markdown: "text/markdown",
} as const;

async function textOf(album: Album, rows: readonly AlbumRow[], { format, hasThumbnails }: Wanted): Promise<string> {
  switch (format) {
    case "csv":
      return csvOf(rows);
    case "jsonl":
      return jsonLinesOf(rows);
    case "json":
      return jsonOf(album, rows);
    case "markdown":
      return markdownOf(album, rows);
    default:
      return htmlOf(album, rows, albumWords.exports, hasThumbnails ? await thumbnailAddresses(rows) : undefined);
  }
}

async function thumbnailAddresses(rows: readonly AlbumRow[]): Promise<Map<Id, string>> {
  const addresses = new Map<Id, string>();
  for (const row of rows) {
    const blob = await thumbnailOf(row);
    if (!blob) continue;
    const bytes = new Uint8Array(await blob.arrayBuffer());
    addresses.set(row.id, `data:${blob.type};base64,${btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""))}`);
  }
  return addresses;
}

function* textsOf(rows: readonly AlbumRow[]): Generator<ZipFile> {
  for (const { path, text } of textFilesOf(rows)) yield { path, bytes: new TextEncoder().encode(text) };
}

/** Copies of the pictures with their texts. One without a text is copied as it is. */
async function* copiesOf(rows: readonly AlbumRow[], { language }: Wanted, told: Exported, following: Following): AsyncGenerator<ZipFile> {
  for (const [done, row] of rows.entries()) {
    following.signal.throwIfAborted();
    following.onProgress(done, rows.length);
    const { path, alt, long, isDecorative } = row;
    const file = await fileOf(row).catch(() => null);
    if (!file) {
      told.missing.push(path);
      continue;
    }
    const bytes = new Uint8Array(await file.arrayBuffer());
    const { bytes: copy, sidecar } =
      alt || long || isDecorative ? await embed(bytes, { alt, long, isDecorative, language }) : { bytes, sidecar: null };
    yield { path, bytes: copy ?? bytes };
    if (!sidecar) continue;
    told.sidecars.push(path);
    yield { path: `${path}.xmp`, bytes: sidecar };
  }
  following.onProgress(rows.length, rows.length);
}

/** Writes files into a folder, or into archives that are downloaded. */
async function deliver(
  files: AsyncIterable<ZipFile> | Iterable<ZipFile>,
  album: Album,
  folder: FileSystemDirectoryHandle | null,
): Promise<void> {
  if (folder) {
    // The pictures of the album are never written over.
    const isSource = (await album.folder?.isSameEntry(folder)) ?? false;
    const target = isSource ? await folder.getDirectoryHandle(OUTPUT, { create: true }) : folder;
    for await (const { path, bytes } of files) await writeIn(target, path, bytes);
    return;
  }
  await saveArchives(files, (archive) => exportName(album.title, archive === 1 ? "zip" : `${archive}.zip`));
}

/** Takes the texts of a table into an album: its lines are matched by path, then by hash. `null` if it has neither. */
export async function importTable(album: Id, text: string): Promise<{ changed: number; unknown: number } | null> {
  const lines = readCsv(text);
  const names = new Set(lines.flatMap((line) => [...line.keys()]));
  if (!names.has("path") && !names.has("sha256")) return null;
  const rows = [...(await shelfOf(album)).value.values()];
  const byPath = new Map(rows.map((row) => [row.path, row]));
  const byHash = new Map(rows.flatMap((row) => (row.picture ? [[row.picture, row] as const] : [])));
  const changes = new Map<Id, ReadonlyMap<string, string>>();
  let unknown = 0;
  for (const line of lines) {
    const row = byPath.get(line.get("path") ?? "") ?? byHash.get(line.get("sha256") ?? "");
    if (row) changes.set(row.id, line);
    else unknown += 1;
  }
  const changed = await changeRows(album, [...changes.keys()], (row) => imported(row, changes.get(row.id) ?? new Map()));
  return { changed: changed.length, unknown };
}

function imported(row: AlbumRow, line: ReadonlyMap<string, string>): AlbumRow | null {
  const isDecorative = isYes(line.get("decorative"), row.isDecorative);
  const change: Edit = { isDecorative };
  // A decorative picture is exported without its text.
  if (line.has("alt") && !isDecorative) change.alt = line.get("alt") ?? "";
  if (line.has("long_description")) change.long = line.get("long_description") ?? "";
  if (line.has("caption")) change.caption = line.get("caption") ?? "";
  if (line.has("context")) change.context = line.get("context") ?? "";
  const next = edited(row, change);
  if (next.state === "done" || next.state === "reviewed")
    next.state = isYes(line.get("reviewed"), row.state === "reviewed") ? "reviewed" : "done";
  // A suggestion that was not answered stays one.
  next.maybeDecorative = row.maybeDecorative && next.alt === row.alt && !isDecorative;
  const isSame = (["alt", "long", "caption", "context", "isDecorative", "state"] as const).every((name) => next[name] === row[name]);
  return isSame ? null : next;
}

function isYes(value: string | undefined, otherwise: boolean): boolean {
  return value === undefined ? otherwise : /^(yes|true|1|ja|oui|sí)$/i.test(value.trim());
}
