/** Albums of the database. */
import type { Rows } from "./rows.js";
import { newId } from "./id.js";
import type { AlbumRow, Id } from "./schema.js";

/** Removes an album with its rows; pictures that nothing else shows are removed later. */
export async function removeAlbum(rows: Rows, id: Id): Promise<void> {
  const ids = (await rows.albumRowsOf(id)).map((row) => row.id);
  await rows.write({ delete: { albums: [id], albumRows: ids, thumbnails: ids } });
}

/** Removes albums that were deleted before a time. */
export async function removeDeletedAlbums(rows: Rows, before: number): Promise<void> {
  for (const { id, deletedAt } of await rows.all("albums")) if (deletedAt !== null && deletedAt <= before) await removeAlbum(rows, id);
}

/** A row that waits for its texts. */
export function blankRow(album: Id, order: number, file: { path: string; bytes: number; modified: number }): AlbumRow {
  return {
    id: newId(),
    album,
    order,
    ...file,
    picture: null,
    width: 0,
    height: 0,
    state: "waiting",
    alt: "",
    isDecorative: false,
    maybeDecorative: false,
    long: "",
    caption: "",
    words: "",
    language: "",
    context: "",
    flags: [],
    isByHand: false,
    had: null,
    model: null,
    usage: null,
    error: null,
    updatedAt: Date.now(),
  };
}
