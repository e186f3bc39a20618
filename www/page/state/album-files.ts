/** Files of albums: in a folder of the user, as copies, or in the memory of this visit. */
import { fileIn, type FoundFile, type Listing } from "../pictures/folder.js";
import { embeddedAlt } from "../pictures/embed.js";
import { smallOf } from "../pictures/thumbnail.js";
import { webSha256 } from "../../src/store/hash.js";
import type { Album, AlbumRow, Id, Keeping } from "../store/schema.js";
import { blankRow } from "../store/albums.js";
import { addAlbum, albumOf, changeAlbum, changeRows, shelfOf } from "./albums.js";
import { newId } from "../store/id.js";
import { rows, write } from "./kept.js";

/** Files of this visit, by row. */
const ofVisit = new Map<Id, File>();

type Permitted = FileSystemDirectoryHandle & {
  queryPermission?: (mode: { mode: "read" }) => Promise<PermissionState>;
  requestPermission?: (mode: { mode: "read" }) => Promise<PermissionState>;
};

/** Bytes of all files, and of the room that is free; `null` if the browser does not tell. */
export async function roomFor({ files }: Listing): Promise<{ bytes: number; free: number | null }> {
  const bytes = files.reduce((sum, { file }) => sum + file.size, 0);
  const { quota, usage } = await (navigator.storage?.estimate?.() ?? Promise.resolve({})).catch(() => ({}) as StorageEstimate);
  return { bytes, free: quota === undefined ? null : quota - (usage ?? 0) };
}

/** Makes an album. `onProgress` is called with the number of files that were copied. */
export async function makeAlbum(
  { files, folder }: Listing,
  facts: Pick<Album, "title" | "task"> & { keeping: Keeping },
  { signal, onProgress }: { signal: AbortSignal; onProgress: (done: number) => void },
): Promise<Id> {
  const now = Date.now();
  const id = newId();
  const kept = { folder: facts.keeping === "folder" ? folder : null, isStarted: false, deletedAt: null };
  const album: Album = { id, createdAt: now, updatedAt: now, ...facts, ...kept };
  const made: AlbumRow[] = [];
  for (const [order, { path, file }] of files.entries()) {
    signal.throwIfAborted();
    const row = blankRow(id, order, { path, bytes: file.size, modified: file.lastModified });
    if (facts.keeping !== "folder") ofVisit.set(row.id, file);
    made.push(facts.keeping === "copies" ? { ...row, ...(await copy(file)) } : row);
    onProgress(order + 1);
  }
  await addAlbum(album, made);
  return id;
}

/** Keeps a copy of a file among the pictures. Its facts are read when the row is written. */
async function copy(file: File): Promise<Pick<AlbumRow, "picture">> {
  const picture = await hashOf(new Uint8Array(await file.arrayBuffer()));
  const known = await (await rows()).get("pictures", picture);
  const facts = known ?? { id: picture, blob: file, name: file.name, width: 0, height: 0, isPhotograph: false };
  await write({ put: { pictures: [{ ...facts, usedAt: Date.now() }] } });
  return { picture };
}

/** True if the folder may be read; `isAsked` asks the user, which needs a click. */
export async function mayRead({ folder }: Album, isAsked: boolean): Promise<boolean> {
  const handle = folder as Permitted | null;
  if (!handle?.queryPermission) return true;
  if ((await handle.queryPermission({ mode: "read" })) === "granted") return true;
  return isAsked && (await handle.requestPermission?.({ mode: "read" })) === "granted";
}

/** The file of a row; `null` if it is not there any more. */
export async function fileOf(row: AlbumRow): Promise<Blob | null> {
  const known = ofVisit.get(row.id);
  if (known) return (await isReadable(known)) ? known : null;
  const folder = albumOf(row.album)?.folder;
  if (folder) return fileIn(folder, row.path);
  return row.picture ? ((await (await rows()).get("pictures", row.picture))?.blob ?? null) : null;
}

/** A file that was changed or removed since it was chosen cannot be read. */
async function isReadable(file: File): Promise<boolean> {
  return file
    .slice(0, 1)
    .arrayBuffer()
    .then(
      () => true,
      () => false,
    );
}

/** Facts of a file that are read before it is described. */
export async function factsOf(row: AlbumRow, file: Blob): Promise<Pick<AlbumRow, "picture" | "width" | "height" | "had">> {
  const bytes = new Uint8Array(await file.arrayBuffer());
  const [picture, had] = [await hashOf(bytes), await embeddedAlt(bytes)];
  const { width, height, blob } = await smallOf(file);
  if (blob) await write({ put: { thumbnails: [{ id: row.id, blob }] } });
  return { picture, width, height, had };
}

/** The small picture of a row; `null` if there is none. */
export async function thumbnailOf(row: AlbumRow): Promise<Blob | null> {
  const stored = await (await rows()).get("thumbnails", row.id);
  if (stored) return stored.blob;
  const album = albumOf(row.album);
  if (!album || !(await mayRead(album, false))) return null;
  const file = await fileOf(row).catch(() => null);
  const small = file && (await smallOf(file)).blob;
  if (small) await write({ put: { thumbnails: [{ id: row.id, blob: small }] } });
  return small;
}

/** Finds missing files again among those that the user gives: by path, by name with size and time, or by their bytes. Resolves to their number. */
export async function findAgain(album: Id, listing: Listing): Promise<number> {
  const shelf = (await shelfOf(album)).value;
  const keeping = albumOf(album)?.keeping;
  if (keeping === "folder" && listing.folder) await changeAlbum(album, { folder: listing.folder });
  const lost = [...shelf.values()].filter((row) => row.state === "missing" || (keeping === "visit" && !ofVisit.has(row.id)));
  let found = 0;
  for (const row of lost) {
    const file = await matching(row, listing.files);
    if (!file) continue;
    found += 1;
    ofVisit.set(row.id, file.file);
    if (keeping === "copies") await copy(file.file);
    await changeRows(album, [row.id], (now) =>
      now.state === "missing" ? { ...now, state: isTold(now) ? "done" : "waiting", error: null } : null,
    );
  }
  return found;
}

/** True for a row with a text. */
function isTold(row: AlbumRow): boolean {
  return row.alt !== "" || row.caption !== "" || row.isDecorative;
}

async function matching(row: AlbumRow, files: readonly FoundFile[]): Promise<FoundFile | null> {
  const name = row.path.split("/").at(-1);
  const same = (file: File) => file.size === row.bytes && file.lastModified === row.modified;
  const likely = files.find(({ path }) => path === row.path) ?? files.find(({ file }) => file.name === name && same(file));
  if (likely || row.picture === null) return likely ?? null;
  for (const each of files) {
    if (each.file.size === row.bytes && (await hashOf(new Uint8Array(await each.file.arrayBuffer()))) === row.picture) return each;
  }
  return null;
}

/** Pages that are not opened over https have no hashes. */
async function hashOf(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const isSecure = (globalThis.crypto as Partial<Crypto>).subtle !== undefined;
  return isSecure ? webSha256(bytes) : crypto.getRandomValues(new Uint32Array(8)).join("-");
}
