/** The review of an album: what is shown, the row with the cursor, the selection, and changes by hand. */
import { computed, signal, type Signal } from "@preact/signals-core";
import { altFlags, type AltFlag } from "../../src/img-alt/text.js";
import type { AlbumRow, Id } from "../store/schema.js";
import { albumWords } from "../words/albums.js";
import { start } from "./album-run.js";
import { albumOf, changeRows, changeWithUndo, removeRows, shelfOf, type Shelf } from "./albums.js";

export type Filter = "all" | "waiting" | "review" | "flagged" | "failed" | "decorative";
export const FILTERS: readonly Filter[] = ["all", "waiting", "review", "flagged", "failed", "decorative"];

/** The album that is shown. */
export const shown = signal<{ id: Id; shelf: Signal<Shelf> } | null>(null);
export const filter = signal<Filter>("all");
export const selected = signal<ReadonlySet<Id>>(new Set());
/** The row with the keyboard. */
export const cursor = signal<Id | null>(null);

export const all = computed<readonly AlbumRow[]>(() => [...(shown.value?.shelf.value.values() ?? [])]);
/** Texts that several rows have. */
const repeated = computed(() => {
  const [once, twice] = [new Set<string>(), new Set<string>()];
  for (const { alt, isDecorative } of all.value) if (alt && !isDecorative) (once.has(alt) ? twice : once).add(alt);
  return twice;
});

const tests: Readonly<Record<Filter, (row: AlbumRow) => boolean>> = {
  all: () => true,
  waiting: ({ state }) => state === "waiting",
  review: ({ state }) => state === "done",
  flagged: (row) => flagsOf(row).length > 0,
  failed: ({ state }) => state === "failed" || state === "missing",
  decorative: ({ isDecorative, maybeDecorative }) => isDecorative || maybeDecorative,
};

/** The rows of the filter. */
export const filtered = computed<readonly AlbumRow[]>(() => (filter.value === "all" ? all.value : all.value.filter(tests[filter.value])));
export const filterCounts = computed(() => {
  const found = { all: 0, waiting: 0, review: 0, flagged: 0, failed: 0, decorative: 0 };
  for (const row of all.value) for (const name of FILTERS) if (tests[name](row)) found[name] += 1;
  return found;
});

/** Flags of a row, among them that of a text that another row has too. */
export function flagsOf(row: AlbumRow): AltFlag[] {
  if (row.isDecorative) return [];
  return repeated.value.has(row.alt) ? [...row.flags, "same"] : row.flags;
}

/** Shows an album; resolves to false if there is none with this id. */
export async function openAlbum(id: Id): Promise<boolean> {
  const album = albumOf(id);
  if (!album || album.deletedAt !== null) return false;
  const shelf = await shelfOf(id);
  if (shown.value?.id === id) return true;
  [shown.value, filter.value, selected.value, cursor.value] = [{ id, shelf }, "all", new Set(), null];
  return true;
}

/** The row at a distance from the one with the cursor, within the filter. */
export function moveCursor(by: number): void {
  const list = filtered.value;
  const at = list.findIndex(({ id }) => id === cursor.value);
  const next = list[at < 0 ? 0 : Math.min(list.length - 1, Math.max(0, at + by))];
  if (next) cursor.value = next.id;
}

/** Selects a row, or not any more. */
export function toggle(id: Id): void {
  const next = new Set(selected.value);
  if (!next.delete(id)) next.add(id);
  selected.value = next;
}

/** Texts and marks that the user sets. */
export type Edit = Partial<Pick<AlbumRow, "alt" | "long" | "caption" | "words" | "context" | "isDecorative">>;

export function edited(row: AlbumRow, edit: Edit): AlbumRow {
  const changed = { ...row, ...edit };
  if (edit.alt !== undefined && edit.alt !== row.alt) {
    changed.flags = edit.alt ? altFlags(edit.alt, row.path.split("/").at(-1)) : [];
    [changed.isByHand, changed.maybeDecorative] = [true, false];
  }
  if (edit.isDecorative !== undefined) changed.maybeDecorative = false;
  const isTold = changed.alt !== "" || changed.isDecorative;
  // A row that was written by hand needs no model.
  if (isTold && row.state !== "reviewed" && (edit.alt || edit.isDecorative)) [changed.state, changed.error] = ["done", null];
  return changed;
}

export async function edit(row: AlbumRow, change: Edit): Promise<void> {
  await changeRows(row.album, [row.id], (now) => edited(now, change));
}

/** Takes back the model's suggestion that a picture is decorative. */
export async function notDecorative(row: AlbumRow): Promise<void> {
  await changeRows(row.album, [row.id], (now) => ({ ...now, maybeDecorative: false }));
}

/** Rows with a text, or marked as decorative, can be reviewed. */
function canBeReviewed({ state, alt, caption, words, isDecorative }: AlbumRow): boolean {
  return (state === "done" || state === "reviewed") && (alt !== "" || caption !== "" || words !== "" || isDecorative);
}

export async function setReviewed(album: Id, ids: readonly Id[], isReviewed: boolean): Promise<void> {
  const change = (row: AlbumRow): AlbumRow | null => (canBeReviewed(row) ? { ...row, state: isReviewed ? "reviewed" : "done" } : null);
  if (ids.length === 1) await changeRows(album, ids, change);
  else await changeWithUndo(album, ids, change, albumWords.review.changed(ids.length));
}

/** Marks a row as reviewed; the cursor moves to the next one to review. Returns false if there is none. */
export async function reviewAndMove(row: AlbumRow): Promise<boolean> {
  const list = filtered.value;
  const at = list.findIndex(({ id }) => id === row.id);
  const next = [...list.slice(at + 1), ...list.slice(0, at)].find(({ state }) => state === "done");
  await setReviewed(row.album, [row.id], true);
  if (next) cursor.value = next.id;
  return next !== undefined;
}

/** Rows whose texts the user has changed. */
export function changedByHand(ids: readonly Id[]): number {
  return ids.filter((id) => shown.value?.shelf.value.get(id)?.isByHand).length;
}

/** Discards texts, so that the run writes them once more. It can be undone. */
export async function writeAgain(album: Id, ids: readonly Id[]): Promise<void> {
  const blank = { alt: "", caption: "", words: "", long: "", flags: [], error: null };
  const marks = { isDecorative: false, maybeDecorative: false, isByHand: false };
  const change = (row: AlbumRow): AlbumRow => ({ ...row, ...blank, ...marks, state: "waiting" });
  await changeWithUndo(album, ids, change, albumWords.review.changed(ids.length));
  void start(album, true);
}

/** Tries rows again that have failed or were missing. */
export async function retry(album: Id, ids: readonly Id[]): Promise<void> {
  const isStopped = ({ state }: AlbumRow) => state === "failed" || state === "missing";
  await changeRows(album, ids, (row) => (isStopped(row) ? { ...row, state: "waiting", error: null } : null));
  void start(album, true);
}

export async function setContext(album: Id, ids: readonly Id[], context: string): Promise<void> {
  await changeWithUndo(album, ids, (row) => ({ ...row, context }), albumWords.review.changed(ids.length));
}

export async function remove(album: Id, ids: readonly Id[]): Promise<void> {
  await removeRows(album, ids, albumWords.review.removed(ids.length));
  selected.value = new Set([...selected.value].filter((id) => !ids.includes(id)));
}
