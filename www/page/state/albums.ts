/** Albums: the list, and the rows of those that are shown or written. */
import { batch, computed, signal, type Signal } from "@preact/signals-core";
import { removeAlbum, removeDeletedAlbums } from "../store/albums.js";
import { listenForAlbumChanges, tellAlbumChange, type AlbumChange } from "../store/changes.js";
import type { Album, AlbumRow, Id, RowState } from "../store/schema.js";
import { rows, write } from "./kept.js";
import { offerUndo } from "./undo.js";

export type Counts = Record<RowState, number>;
export type Shelf = ReadonlyMap<Id, AlbumRow>;

/** Deleted albums are removed after this time. */
const REMOVED_AFTER_MS = 30_000;

const records = signal<ReadonlyMap<Id, Album>>(new Map());
/** True once the list is read. */
export const isListed = signal(false);
/** Albums that are not deleted, the newest first. */
export const albums = computed(() =>
  [...records.value.values()].filter(({ deletedAt }) => deletedAt === null).sort((one, other) => other.createdAt - one.createdAt),
);
/** Numbers of rows by state, of all albums. */
export const counts = signal<ReadonlyMap<Id, Counts>>(new Map());
/** Rows of albums that are shown or written, in their order. */
const shelves = new Map<Id, Signal<Shelf>>();
let loading: Promise<void> | null = null;

export function albumOf(id: Id): Album | undefined {
  return records.value.get(id);
}

/** Reads the list once, and follows changes by other tabs. */
export function loadAlbums(): Promise<void> {
  loading ??= load();
  return loading;
}

async function load(): Promise<void> {
  const store = await rows();
  await removeDeletedAlbums(store, Date.now() - REMOVED_AFTER_MS);
  records.value = new Map((await store.all("albums")).map((album) => [album.id, album]));
  isListed.value = true;
  listenForAlbumChanges((change) => void follow(change));
  await Promise.all(albums.value.map(({ id }) => countRows(id)));
}

async function countRows(id: Id): Promise<void> {
  const shelf = shelves.get(id)?.value;
  const found = { waiting: 0, done: 0, reviewed: 0, failed: 0, missing: 0 };
  if (shelf) for (const { state } of shelf.values()) found[state] += 1;
  counts.value = new Map([...counts.value, [id, shelf ? found : await (await rows()).albumCounts(id)]]);
}

async function follow({ album, rows: changed }: AlbumChange): Promise<void> {
  const store = await rows();
  const record = await store.get("albums", album);
  const others = [...records.value].filter(([id]) => id !== album);
  records.value = new Map(record ? [...others, [album, record]] : others);
  const shelf = shelves.get(album);
  if (shelf && changed.length > 0) {
    const found = await Promise.all(changed.map((id) => store.get("albumRows", id)));
    const next = new Map(shelf.value);
    for (const [index, id] of changed.entries()) {
      const row = found[index];
      if (row) next.set(id, row);
      else next.delete(id);
    }
    shelf.value = next;
  }
  if (record) await countRows(album);
}

/** The rows of an album; they are read when they are first wanted. */
export async function shelfOf(album: Id): Promise<Signal<Shelf>> {
  const known = shelves.get(album);
  if (known) return known;
  const all = await (await rows()).albumRowsOf(album);
  const shelf = shelves.get(album) ?? signal<Shelf>(new Map(all.map((row) => [row.id, row])));
  shelves.set(album, shelf);
  return shelf;
}

/** Adds an album with its rows. */
export async function addAlbum(album: Album, added: readonly AlbumRow[]): Promise<void> {
  shelves.set(album.id, signal<Shelf>(new Map(added.map((row) => [row.id, row]))));
  batch(() => {
    records.value = new Map([...records.value, [album.id, album]]);
    void countRows(album.id);
  });
  await write({ put: { albums: [album], albumRows: added } });
  tellAlbumChange({ album: album.id, rows: [] });
}

/** Changes an album itself. */
export async function changeAlbum(id: Id, change: Partial<Album>): Promise<void> {
  const before = records.value.get(id);
  if (!before) return;
  records.value = new Map([...records.value, [id, { ...before, ...change }]]);
  await (await rows()).modify("albums", [id], (album) => ({ ...album, ...change, updatedAt: Date.now() }));
  tellAlbumChange({ album: id, rows: [] });
}

/**
 * Changes rows: at once where they are shown, and as they are then in the database. `change` returns `null` for rows that stay. Resolves to
 * the changed rows.
 */
export async function changeRows(album: Id, ids: readonly Id[], change: (row: AlbumRow) => AlbumRow | null): Promise<AlbumRow[]> {
  const dated = (row: AlbumRow): AlbumRow | null => {
    const changed = change(row);
    return changed && { ...changed, updatedAt: Date.now() };
  };
  const shelf = await shelfOf(album);
  show(
    shelf,
    ids.flatMap((id) => shelf.value.get(id) ?? []).flatMap((row) => dated(row) ?? []),
  );
  const changed = await (await rows()).modify("albumRows", ids, dated);
  show(
    shelf,
    changed.filter((row) => row.updatedAt >= (shelf.value.get(row.id)?.updatedAt ?? 0)),
  );
  await countRows(album);
  tellAlbumChange({ album, rows: [...ids] });
  return changed;
}

function show(shelf: Signal<Shelf>, changed: readonly AlbumRow[]): void {
  if (changed.length === 0) return;
  const next = new Map(shelf.value);
  for (const row of changed) next.set(row.id, row);
  shelf.value = next;
}

/** Puts rows back as they were. */
async function restore(album: Id, before: readonly AlbumRow[]): Promise<void> {
  const shelf = await shelfOf(album);
  const all = [...shelf.value.values()].filter(({ id }) => !before.some((row) => row.id === id));
  const sorted = [...all, ...before].sort((one, other) => one.order - other.order);
  shelf.value = new Map(sorted.map((row) => [row.id, row]));
  await write({ put: { albumRows: before } });
  await countRows(album);
  tellAlbumChange({ album, rows: before.map(({ id }) => id) });
}

/** Changes rows; this can be undone. */
export async function changeWithUndo(
  album: Id,
  ids: readonly Id[],
  change: (row: AlbumRow) => AlbumRow | null,
  words: string,
): Promise<void> {
  const before = ids.flatMap((id) => shelves.get(album)?.value.get(id) ?? []);
  await changeRows(album, ids, change);
  offerUndo(words, () => void restore(album, before));
}

/** Removes rows from an album; this can be undone. */
export async function removeRows(album: Id, ids: readonly Id[], words: string): Promise<void> {
  const shelf = await shelfOf(album);
  const before = ids.flatMap((id) => shelf.value.get(id) ?? []);
  shelf.value = new Map([...shelf.value].filter(([id]) => !ids.includes(id)));
  await write({ delete: { albumRows: ids } });
  await countRows(album);
  tellAlbumChange({ album, rows: [...ids] });
  offerUndo(words, () => void restore(album, before));
}

/** Deletes an album; this can be undone. */
export async function deleteAlbum(id: Id, words: string): Promise<void> {
  await changeAlbum(id, { deletedAt: Date.now(), isStarted: false });
  offerUndo(words, () => void changeAlbum(id, { deletedAt: null }));
  setTimeout(() => {
    if (records.value.get(id)?.deletedAt) void rows().then((store) => removeAlbum(store, id));
  }, REMOVED_AFTER_MS);
}
