/** Files that are saved where the browser puts downloads. */
import type { ZipFile } from "../exports/zip.js";
import { newId } from "../store/id.js";

const KEEP_MS = 60_000;

export function saveFile(name: string, content: Blob | string, type = "application/json"): void {
  const blob = typeof content === "string" ? new Blob([content], { type }) : content;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  // The browser reads the address after the click.
  setTimeout(() => URL.revokeObjectURL(link.href), KEEP_MS);
}

/** A file's name without its ending. */
export function stemOf(name: string): string {
  return name.replace(/\.[^.]*$/, "");
}

const ZIP = "application/zip";
/** The folder of archives that are being downloaded. */
const ARCHIVES = "ocelli-exports";

/** Saves files as one archive or more. `nameOf` names them by their number, from 1. */
export async function saveArchives(files: AsyncIterable<ZipFile> | Iterable<ZipFile>, nameOf: (archive: number) => string): Promise<void> {
  const { zipOf } = await import("../exports/zip.js");
  let archive: Archive | null = null;
  for await (const part of zipOf(files)) {
    archive ??= await newArchive();
    await archive.write(part.bytes);
    if (!part.isLast) continue;
    saveFile(nameOf(part.archive + 1), new Blob([await archive.end()], { type: ZIP }));
    archive = null;
  }
}

interface Archive {
  write: (bytes: Uint8Array<ArrayBuffer>) => Promise<void>;
  end: () => Promise<Blob>;
}

/** An archive in a file of this origin; in memory where there are none. */
async function newArchive(): Promise<Archive> {
  try {
    const root = await navigator.storage.getDirectory();
    const folder = await root.getDirectoryHandle(ARCHIVES, { create: true });
    const handle = await folder.getFileHandle(newId(), { create: true });
    const stream = await handle.createWritable();
    return {
      write: (bytes) => stream.write(bytes),
      async end() {
        await stream.close();
        return handle.getFile();
      },
    };
  } catch {
    const parts: Uint8Array<ArrayBuffer>[] = [];
    return { write: async (bytes) => void parts.push(bytes), end: async () => new Blob(parts) };
  }
}

/** Removes archives of earlier exports. */
export async function removeArchives(): Promise<void> {
  const root = await navigator.storage?.getDirectory?.();
  await root?.removeEntry(ARCHIVES, { recursive: true });
}
