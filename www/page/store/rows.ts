/**
 * Rows of the database. What cannot be written, without room or without a database, is kept in memory for this visit, and reads see it:
 * the rest of the page need not know.
 */
import type { IDBPDatabase } from "idb";
import { openDatabase, type Migration } from "./migrate.js";
import type { Change, RowState, TableName, Tables } from "./schema.js";

/** Why rows are kept in memory only: no room, no database in this window, a database of a newer page, or one closed for an update. */
export type StoreProblem = "full" | "none" | "newer" | "outdated";

/** Any row. */
type Row = Tables[TableName];

/** Opens the database; without one, everything is kept in memory. */
export async function openRows(onProblem: (problem: StoreProblem | null) => void, steps?: readonly Migration[]): Promise<Rows> {
  try {
    return new Rows(await openDatabase(() => onProblem("outdated"), steps), onProblem);
  } catch (thrown) {
    onProblem((thrown as DOMException).name === "VersionError" ? "newer" : "none");
    return new Rows(null, onProblem);
  }
}

export class Rows {
  /** Rows of this visit over those of the database; `null` for a deleted one. */
  private readonly memory = new Map<TableName, Map<string, object | null>>();
  /** Changes that found no room. They are tried again after the next one that does. */
  private waiting: Change[] = [];

  constructor(
    private readonly database: IDBPDatabase | null,
    private readonly onProblem: (problem: StoreProblem | null) => void,
  ) {}

  async get<T extends TableName>(table: T, id: string): Promise<Tables[T] | null> {
    const kept = this.memory.get(table)?.get(id);
    if (kept !== undefined) return kept as Tables[T] | null;
    return ((await this.database?.get(table, id).catch(() => undefined)) as Tables[T] | undefined) ?? null;
  }

  async all<T extends TableName>(table: T): Promise<Tables[T][]> {
    const stored = ((await this.database?.getAll(table).catch(() => [])) ?? []) as Tables[T][];
    return this.merged(table, stored, () => true);
  }

  /** Messages of a conversation. */
  async messagesOf(conversation: string): Promise<Tables["messages"][]> {
    return this.merged(
      "messages",
      await this.indexed("messages", "conversation", conversation),
      (message) => message.conversation === conversation,
    );
  }

  /** Rows of an album, in their order. */
  async albumRowsOf(album: string): Promise<Tables["albumRows"][]> {
    const all = this.merged("albumRows", await this.indexed("albumRows", "album", album), (row) => row.album === album);
    return all.sort((one, other) => one.order - other.order);
  }

  /** A few rows of an album, in no order. */
  async someAlbumRows(album: string, most: number): Promise<Tables["albumRows"][]> {
    const stored = ((await this.database?.getAllFromIndex("albumRows", "album", album, most).catch(() => [])) ??
      []) as Tables["albumRows"][];
    return this.merged("albumRows", stored, (row) => row.album === album).slice(0, most);
  }

  /** The number of an album's rows in each state. */
  async albumCounts(album: string): Promise<Record<RowState, number>> {
    const counts = { waiting: 0, done: 0, reviewed: 0, failed: 0, missing: 0 };
    const states = Object.keys(counts) as RowState[];
    if (!this.database || this.memory.get("albumRows")?.size) {
      for (const { state } of await this.albumRowsOf(album)) counts[state] += 1;
      return counts;
    }
    const transaction = this.database.transaction("albumRows");
    const found = await Promise.all(states.map((state) => transaction.store.index("state").count([album, state]))).catch(() => []);
    for (const [index, state] of states.entries()) counts[state] = found[index] ?? 0;
    return counts;
  }

  /** True if a message or a row of an album has this picture. */
  async isShown(picture: string): Promise<boolean> {
    for (const [table, index] of Object.entries({ messages: "pictureIds", albumRows: "picture" })) {
      if (((await this.database?.countFromIndex(table, index, picture).catch(() => 1)) ?? 0) > 0) return true;
    }
    const has = <T extends TableName>(table: T, holds: (row: Tables[T]) => boolean) =>
      [...(this.memory.get(table)?.values() ?? [])].some((row) => row !== null && holds(row as Tables[T]));
    return has("messages", ({ pictureIds }) => pictureIds.includes(picture)) || has("albumRows", (row) => row.picture === picture);
  }

  /**
   * Changes rows as they are at that moment, in one transaction with their reading; `change` returns `null` for rows that stay. Resolves
   * to the changed ones.
   */
  async modify<T extends TableName>(table: T, ids: readonly string[], change: (row: Tables[T]) => Tables[T] | null): Promise<Tables[T][]> {
    const isInMemory = ids.some((id) => this.memory.get(table)?.has(id));
    if (this.database && !isInMemory) {
      const changed = await changeRows(this.database, table, ids, change).catch(() => null);
      if (changed) return changed;
    }
    const present = await Promise.all(ids.map((id) => this.get(table, id)));
    const rows = present.flatMap((row) => (row ? (change(row) ?? []) : [])) as Tables[T][];
    if (rows.length > 0) await this.write({ put: { [table]: rows } } as Change);
    return rows;
  }

  /** Closes the database, so that it can be deleted. What is written from then on stays in memory. */
  close(): void {
    this.database?.close();
  }

  private async indexed<T extends TableName>(table: T, index: string, key: string): Promise<Tables[T][]> {
    return ((await this.database?.getAllFromIndex(table, index, key).catch(() => [])) ?? []) as Tables[T][];
  }

  /**
   * Writes all of `change` or nothing; resolves to true once it is in the database, otherwise it is kept in memory. With `isTemporary`
   * nothing goes to the database.
   */
  async write(change: Change, isTemporary = false): Promise<boolean> {
    if (!this.database || isTemporary) {
      this.keep(change);
      return false;
    }
    try {
      await commit(this.database, change);
    } catch (thrown) {
      this.keep(change);
      const { name } = thrown as DOMException;
      if (name === "QuotaExceededError") this.waiting.push(change);
      this.onProblem(name === "QuotaExceededError" ? "full" : name === "InvalidStateError" ? "outdated" : "none");
      return false;
    }
    this.forget(change);
    await this.retry(this.database);
    return true;
  }

  /** Writes the present rows of changes that found no room. */
  private async retry(database: IDBPDatabase): Promise<void> {
    const waiting = this.waiting;
    this.waiting = [];
    for (const change of waiting) {
      const rows = [...idsOf(change)].flatMap(([table, ids]) => ids.map((id) => [table, id, this.memory.get(table)?.get(id)] as const));
      for (const [table, id, row] of rows) {
        // Written or forgotten since.
        if (row === undefined) continue;
        const again = (row ? { put: { [table]: [row] } } : { delete: { [table]: [id] } }) as Change;
        try {
          await commit(database, again);
          this.forget(again);
        } catch {
          this.waiting.push(again);
        }
      }
    }
    if (waiting.length > 0 && this.waiting.length === 0) this.onProblem(null);
  }

  /** Drops rows of this visit, such as those of a temporary conversation. */
  forget(change: Change): void {
    for (const [table, ids] of idsOf(change)) for (const id of ids) this.memory.get(table)?.delete(id);
  }

  private keep(change: Change): void {
    const rowsOf = (table: TableName) => {
      const rows = this.memory.get(table) ?? new Map<string, object | null>();
      this.memory.set(table, rows);
      return rows;
    };
    for (const [table, rows] of tablesOf<Row>(change.put)) for (const row of rows) rowsOf(table).set(row.id, row);
    for (const [table, ids] of tablesOf<string>(change.delete)) for (const id of ids) rowsOf(table).set(id, null);
  }

  private merged<T extends TableName>(table: T, stored: Tables[T][], wanted: (row: Tables[T]) => boolean): Tables[T][] {
    const memory = this.memory.get(table);
    if (!memory?.size) return stored;
    const kept = [...memory.values()].filter((row): row is Tables[T] => row !== null && wanted(row as Tables[T]));
    return [...stored.filter(({ id }) => !memory.has(id)), ...kept];
  }
}

/** Reads rows, and writes those that `change` returns, in one transaction. */
async function changeRows<T extends TableName>(
  database: IDBPDatabase,
  table: T,
  ids: readonly string[],
  change: (row: Tables[T]) => Tables[T] | null,
): Promise<Tables[T][]> {
  const transaction = database.transaction(table, "readwrite");
  transaction.done.catch(() => undefined);
  const present = (await Promise.all(ids.map((id) => transaction.store.get(id)))) as (Tables[T] | undefined)[];
  const changed = present.flatMap((row) => (row ? (change(row) ?? []) : [])) as Tables[T][];
  await Promise.all(changed.map((row) => transaction.store.put(row)));
  await transaction.done;
  return changed;
}

async function commit(database: IDBPDatabase, change: Change): Promise<void> {
  const names = [...new Set([...idsOf(change)].map(([table]) => table))];
  if (names.length === 0) return;
  const transaction = database.transaction(names, "readwrite");
  // A failed request also fails the transaction; both are reported by the first.
  const done = transaction.done.catch((thrown: unknown) => Promise.reject(thrown));
  done.catch(() => undefined);
  try {
    const requests: Promise<unknown>[] = [];
    for (const [table, rows] of tablesOf<Row>(change.put)) for (const row of rows) requests.push(transaction.objectStore(table).put(row));
    for (const [table, ids] of tablesOf<string>(change.delete))
      for (const id of ids) requests.push(transaction.objectStore(table).delete(id));
    await Promise.all(requests);
  } catch (thrown) {
    try {
      transaction.abort();
    } catch {
      // It has ended already.
    }
    throw thrown;
  }
  await done;
}

function* idsOf(change: Change): Generator<[TableName, readonly string[]]> {
  for (const [table, rows] of tablesOf<Row>(change.put)) yield [table, rows.map(({ id }) => id)];
  yield* tablesOf<string>(change.delete);
}

function tablesOf<Entry>(tables: { readonly [table: string]: readonly Entry[] } | undefined): [TableName, readonly Entry[]][] {
  return Object.entries(tables ?? {}) as [TableName, readonly Entry[]][];
}
