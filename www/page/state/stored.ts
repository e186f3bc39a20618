/** Everything that the page has stored, by kind, and its deletion. */
import { packages } from "../../src/index.js";
import { DATABASE } from "../store/migrate.js";
import type { StoredPicture } from "../store/schema.js";
import { rows } from "./kept.js";

/** Bytes by kind; `all` as the browser counts it, `null` if it does not. */
export interface StoredSizes {
  models: number;
  conversations: number;
  albums: number;
  all: number | null;
}

export async function storedSizes(): Promise<StoredSizes> {
  const store = await rows();
  const [models, messages, pictures, albumRows, thumbnails, estimate] = await Promise.all([
    packages.list().catch(() => []),
    store.all("messages"),
    store.all("pictures"),
    store.all("albumRows"),
    store.all("thumbnails"),
    navigator.storage?.estimate?.().catch(() => null) ?? null,
  ]);
  // Files hold pictures; all other fields are text.
  const text = (list: readonly object[]) => list.reduce((sum, row) => sum + JSON.stringify(row).length, 0);
  const files = (list: readonly { blob: Blob }[]) => list.reduce((sum, { blob }) => sum + blob.size, 0);
  const ofAlbums = new Set(albumRows.flatMap(({ picture }) => picture ?? []));
  const isOfAlbum = ({ id }: StoredPicture) => ofAlbums.has(id);
  return {
    models: models.reduce((sum, { bytes }) => sum + bytes, 0),
    conversations: text(messages) + files(pictures.filter((picture) => !isOfAlbum(picture))),
    albums: text(albumRows) + files(thumbnails) + files(pictures.filter(isOfAlbum)),
    all: estimate?.usage ?? null,
  };
}

/** Names of this page's caches, files and values begin so: other pages of the same site keep theirs. */
const PREFIX = "ocelli-";

/** Deletes the database, caches, files and values of this page, and its service worker, and opens the page anew. */
export async function deleteEverything(): Promise<void> {
  (await rows()).close();
  const deleted = new Promise<void>((resolve) => {
    const request = indexedDB.deleteDatabase(DATABASE);
    // Another tab closes the database when it is asked to, so this ends.
    request.onsuccess = request.onerror = () => resolve();
  });
  const root = await navigator.storage?.getDirectory?.().catch(() => null);
  const isOwn = (name: string) => name.startsWith(PREFIX);
  const folders = root ? (await namesIn(root)).filter(isOwn) : [];
  await Promise.all([
    deleted,
    ...((await globalThis.caches?.keys()) ?? []).filter(isOwn).map((name) => caches.delete(name)),
    ...folders.map((name) => root?.removeEntry(name, { recursive: true }).catch(() => undefined)),
    navigator.serviceWorker?.getRegistration().then((registration) => registration?.unregister()),
  ]);
  for (const key of Object.keys(localStorage).filter(isOwn)) localStorage.removeItem(key);
  sessionStorage.clear();
  location.hash = "#/";
  location.reload();
}

async function namesIn(folder: FileSystemDirectoryHandle): Promise<string[]> {
  const names: string[] = [];
  for await (const name of folder.keys()) names.push(name);
  return names;
}
