/** Picture files of folders that were chosen, dropped, or opened for later visits too. */

/** The folder that this page writes copies into. */
export const OUTPUT = "with-alt-texts";

const TYPES = /\.(png|jpe?g|webp|gif|avif|heic|heif)$/i;
const compare = new Intl.Collator("en", { numeric: true }).compare;

/** A file, by its path below the folder. */
export interface FoundFile {
  path: string;
  file: File;
}

/** The reason to leave a file out. */
export type LeftOut = "type" | "empty" | "output" | "unreadable";

/** The pictures of a folder, or of single files. */
export interface Listing {
  title: string;
  files: FoundFile[];
  leftOut: { path: string; reason: LeftOut }[];
  /** The folder, if the browser can open it again in a later visit. */
  folder: FileSystemDirectoryHandle | null;
}

/** Files with their paths, such as those of a file field. */
export function listFiles(given: readonly FoundFile[], folder: FileSystemDirectoryHandle | null = null): Listing {
  const [files, leftOut]: [FoundFile[], Listing["leftOut"]] = [[], []];
  for (const { path, file } of given) {
    const name = path.split("/").at(-1) ?? path;
    if (name.startsWith(".") || name === "Thumbs.db") continue;
    const reason: LeftOut | null = path.split("/").includes(OUTPUT)
      ? "output"
      : !TYPES.test(name) && !/^image\/(png|jpeg|webp|gif|avif|heic|heif)$/.test(file.type)
        ? "type"
        : file.size === 0
          ? "empty"
          : null;
    if (reason) leftOut.push({ path, reason });
    else files.push({ path, file });
  }
  files.sort((one, other) => compare(one.path, other.path));
  return { title: folder?.name ?? "", files: unique(files), leftOut, folder };
}

/** Files of a file field, or of a field for folders, whose paths begin with the folder's name. */
export function listChosen(chosen: readonly File[]): Listing {
  const paths = chosen.map((file) => file.webkitRelativePath || file.name);
  const root = paths[0]?.includes("/") ? (paths[0].split("/")[0] ?? "") : "";
  const isFolder = root !== "" && paths.every((path) => path.startsWith(`${root}/`));
  const listing = listFiles(chosen.map((file, index) => ({ path: (paths[index] ?? "").slice(isFolder ? root.length + 1 : 0), file })));
  return { ...listing, title: isFolder ? root : "" };
}

/** The files of a folder that the user has opened. */
export async function listFolder(folder: FileSystemDirectoryHandle, signal?: AbortSignal): Promise<Listing> {
  const found: FoundFile[] = [];
  const unreadable: Listing["leftOut"] = [];
  await walk(folder, "", async (path, handle) => {
    signal?.throwIfAborted();
    try {
      found.push({ path, file: await handle.getFile() });
    } catch {
      unreadable.push({ path, reason: "unreadable" });
    }
  });
  const listing = listFiles(found, folder);
  return { ...listing, leftOut: [...listing.leftOut, ...unreadable] };
}

/** The files of a drop. A single folder is opened for later visits too, where the browser can. Must be called while the event is handled. */
export function listDropped(transfer: DataTransfer): Promise<Listing> {
  const items = [...transfer.items].filter(({ kind }) => kind === "file");
  const files = [...transfer.files];
  type Openable = DataTransferItem & { getAsFileSystemHandle?: () => Promise<FileSystemHandle | null> };
  const handle = items.length === 1 ? (items[0] as Openable).getAsFileSystemHandle?.() : undefined;
  const entries = items.map((item) => item.webkitGetAsEntry());
  return listEntries(handle, entries, files);
}

async function listEntries(
  opening: Promise<FileSystemHandle | null> | undefined,
  entries: readonly (FileSystemEntry | null)[],
  files: readonly File[],
): Promise<Listing> {
  const handle = await opening?.catch(() => null);
  if (handle?.kind === "directory") return listFolder(handle as FileSystemDirectoryHandle);
  const [only] = entries;
  if (entries.some((entry) => entry === null)) return listChosen(files);
  const found: FoundFile[] = [];
  for (const entry of entries) if (entry) await walkEntry(entry, entries.length === 1 && entry.isDirectory ? "" : entry.name, found);
  return { ...listFiles(found), title: entries.length === 1 && only?.isDirectory ? only.name : "" };
}

async function walkEntry(entry: FileSystemEntry, path: string, found: FoundFile[]): Promise<void> {
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
    found.push({ path, file });
    return;
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  for (;;) {
    // Browsers return a part of the entries at a time.
    const part = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (part.length === 0) return;
    for (const each of part) await walkEntry(each, path === "" ? each.name : `${path}/${each.name}`, found);
  }
}

async function walk(
  folder: FileSystemDirectoryHandle,
  path: string,
  onFile: (path: string, handle: FileSystemFileHandle) => Promise<void>,
): Promise<void> {
  type Entries = { values: () => AsyncIterable<FileSystemHandle> };
  for await (const handle of (folder as unknown as Entries).values()) {
    const at = path === "" ? handle.name : `${path}/${handle.name}`;
    if (handle.kind === "directory") await walk(handle as FileSystemDirectoryHandle, at, onFile);
    else await onFile(at, handle as FileSystemFileHandle);
  }
}

/** A file of a folder; `null` if it is not there any more. */
export async function fileIn(folder: FileSystemDirectoryHandle, path: string): Promise<File | null> {
  const parts = path.split("/");
  const name = parts.pop() ?? "";
  try {
    let at = folder;
    for (const part of parts) at = await at.getDirectoryHandle(part);
    return await (await at.getFileHandle(name)).getFile();
  } catch (thrown) {
    if (/^(NotFoundError|TypeMismatchError|NotReadableError)$/.test((thrown as DOMException).name)) return null;
    throw thrown;
  }
}

/** Writes a file into a folder, with the folders of its path. */
export async function writeIn(folder: FileSystemDirectoryHandle, path: string, bytes: Uint8Array<ArrayBuffer> | Blob): Promise<void> {
  const parts = path.split("/");
  const name = parts.pop() ?? "";
  let at = folder;
  for (const part of parts) at = await at.getDirectoryHandle(part, { create: true });
  const stream = await (await at.getFileHandle(name, { create: true })).createWritable();
  await stream.write(bytes);
  await stream.close();
}

/** Single files may have the same name: later ones get a number. */
function unique(files: readonly FoundFile[]): FoundFile[] {
  const seen = new Set<string>();
  return files.map(({ path, file }) => {
    let name = path;
    for (let number = 2; seen.has(name); number++) name = path.replace(/(\.\w+)?$/, ` (${number})$1`);
    seen.add(name);
    return { path: name, file };
  });
}
