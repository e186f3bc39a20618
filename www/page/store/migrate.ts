/** Versions of the database. A migration is never changed once it is released: a new one is added. */
import { openDB, type IDBPDatabase, type IDBPTransaction } from "idb";

/** Makes a database of the version before into one of its own. */
export type Migration = (database: IDBPDatabase, transaction: IDBPTransaction<unknown, string[], "versionchange">) => void;

export const DATABASE = "ocelli";

export const migrations: readonly Migration[] = [
  (database) => {
    database.createObjectStore("conversations", { keyPath: "id" }).createIndex("updatedAt", "updatedAt");
    const messages = database.createObjectStore("messages", { keyPath: "id" });
    messages.createIndex("conversation", "conversation");
    messages.createIndex("pictureIds", "pictureIds", { multiEntry: true });
    for (const name of ["pictures", "settings", "measures"]) database.createObjectStore(name, { keyPath: "id" });
  },
  (database) => {
    for (const name of ["albums", "thumbnails"]) database.createObjectStore(name, { keyPath: "id" });
    const rows = database.createObjectStore("albumRows", { keyPath: "id" });
    rows.createIndex("album", "album");
    rows.createIndex("state", ["album", "state"]);
    rows.createIndex("picture", "picture");
  },
];

/** Opens the database at the version of the last of `steps`. Rejects with `VersionError` if it is newer, and leaves it as it is. */
export function openDatabase(onOutdated: () => void, steps: readonly Migration[] = migrations): Promise<IDBPDatabase> {
  return openDB(DATABASE, steps.length, {
    upgrade(database, from, _to, transaction) {
      for (const step of steps.slice(from)) step(database, transaction as never);
    },
    blocking(_current, _blocked, event) {
      (event.target as IDBDatabase).close();
      onOutdated();
    },
  });
}
