/** Conversations in files of the origin's private file system, for the engine's worker. */

import { ocelliError } from "../errors.js";

/** The folder of all conversations. */
const FOLDER = "ocelli-conversations";
/** Suffix of the files whose dates are the times of last use of conversations. */
const USED = ".used";

/** Suffix that Chromium gives the file of an open stream; a tab that was killed leaves such a file. */
const UNFINISHED = ".crswap";

/** Milliseconds of waiting for the lock after which another tab is assumed to use the files. */
const LOCK_MS = 2000;

/** A file that is being written. It is listed after it is closed. */
interface Begun {
  name: string;
  writable: FileSystemWritableFileStream;
}

/** The `SnapshotFiles` of the engine's module. */
export class SnapshotFolder {
  private begun: Begun | null = null;

  private constructor(private readonly folder: FileSystemDirectoryHandle) {}

  /** Rejects if the browser stores no files for this site, or if another worker uses them. */
  static async open(): Promise<SnapshotFolder> {
    await takeLock();
    const root = await navigator.storage.getDirectory();
    const folder = await root.getDirectoryHandle(FOLDER, { create: true });
    for await (const name of folder.keys()) if (name.endsWith(UNFINISHED)) await folder.removeEntry(name).catch(() => undefined);
    return new SnapshotFolder(folder);
  }

  async list(): Promise<{ name: string; bytes: number }[]> {
    const files = new Map<string, { bytes: number; used: number }>();
    const used = new Map<string, number>();
    for await (const [name, handle] of this.folder.entries()) {
      if (handle.kind !== "file" || name.endsWith(UNFINISHED)) continue;
      const file = await (handle as FileSystemFileHandle).getFile();
      if (name.endsWith(USED)) used.set(name.slice(0, -USED.length), file.lastModified);
      // A file that was never closed is empty.
      else if (file.size > 0) files.set(name, { bytes: file.size, used: file.lastModified });
    }
    const lastUse = (name: string, written: number) => Math.max(written, used.get(name) ?? 0);
    const listed = [...files].map(([name, { bytes, used }]) => ({ name, bytes, used: lastUse(name, used) }));
    return listed.sort((one, other) => one.used - other.used).map(({ name, bytes }) => ({ name, bytes }));
  }

  async read(name: string, start: number, end: number): Promise<Uint8Array> {
    const file = await (await this.folder.getFileHandle(name)).getFile();
    return new Uint8Array(await file.slice(start, end).arrayBuffer());
  }

  async begin(name: string): Promise<void> {
    await this.giveUp();
    const handle = await this.folder.getFileHandle(name, { create: true });
    this.begun = { name, writable: await handle.createWritable() };
  }

  async append(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    await this.begun?.writable.write(bytes);
  }

  async finish(): Promise<void> {
    const begun = this.begun;
    this.begun = null;
    await begun?.writable.close();
  }

  async giveUp(): Promise<void> {
    const begun = this.begun;
    this.begun = null;
    if (!begun) return;
    await begun.writable.abort().catch(() => undefined);
    const file = await (await this.folder.getFileHandle(begun.name)).getFile();
    if (file.size === 0) await this.folder.removeEntry(begun.name);
  }

  async touch(name: string): Promise<void> {
    const handle = await this.folder.getFileHandle(name + USED, { create: true });
    const writable = await handle.createWritable();
    // An unchanged file would keep its date.
    await writable.write(new Uint8Array(1));
    await writable.close();
  }

  async remove(name: string): Promise<void> {
    for (const file of [name, name + USED]) await this.folder.removeEntry(file).catch(ignoreMissing);
  }
}

let isLocked = false;

/** Only one worker writes at a time. Its lock is released when it ends, a moment after its page. */
async function takeLock(): Promise<void> {
  isLocked ||= await new Promise<boolean>((resolve) => {
    const held = () => {
      resolve(true);
      return new Promise<never>(() => undefined);
    };
    navigator.locks.request(FOLDER, { signal: AbortSignal.timeout(LOCK_MS) }, held).catch(() => resolve(false));
  });
  if (!isLocked) throw ocelliError("storage-unavailable", "another tab keeps conversations of this site", { reason: "in-use" });
}

function ignoreMissing(thrown: unknown): void {
  if (!(thrown instanceof DOMException && thrown.name === "NotFoundError")) throw thrown;
}
