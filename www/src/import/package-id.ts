/** Addresses of imported packages. */
import type { Sha256 } from "../store/hash.js";
import { importedUrl } from "../store/package-folder.js";
import type { ImportOptions, WireSource } from "./model-source.js";

/**
 * The address of the package of `source`, equal for equal sources and options. A remote source is identified by its address alone: changes
 * of its files are detected when an import resumes, not when its package is loaded.
 */
export async function importedPackage(source: WireSource, options: ImportOptions, digest: Sha256): Promise<string> {
  const ids = await Promise.all(partsOf(source).map((part) => (part instanceof Blob ? fileId(part, digest) : part)));
  const settings = Object.entries(options).filter(([name, value]) => name !== "network" && value !== undefined);
  const text = JSON.stringify([source.kind, ids, settings.sort()]);
  return importedUrl((await digest(new TextEncoder().encode(text))).slice(0, 32));
}

/** Addresses, and files with their names before them. */
function partsOf(source: WireSource): (string | Blob | null)[] {
  if (source.kind === "gguf") return [source.text, source.mmproj];
  if (typeof source.folder === "string") return [source.folder];
  return Object.entries(source.folder.files)
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .flat();
}

async function fileId(file: Blob, digest: Sha256): Promise<unknown> {
  const start = await digest(new Uint8Array(await file.slice(0, 1 << 16).arrayBuffer()));
  return file instanceof File ? [file.name, file.size, file.lastModified, start] : [file.size, start];
}
