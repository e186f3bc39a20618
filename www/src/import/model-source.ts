/** Sources of models: packages, and checkpoints that are converted to packages first. */
import { ocelliError } from "../errors.js";
import type { RemoteFileOptions } from "../net/remote-file.js";
import { absoluteUrl } from "../url.js";
import type { ImportSettings } from "../wasm/ocelli_import.js";

/** A file at an address, or one that the user gave. */
export type FileLocation = string | URL | Blob;

/** A GGUF file (the first part of a split one), and the `mmproj` file with the vision tower. */
export interface GgufSource {
  gguf: FileLocation;
  mmproj?: FileLocation;
}

/** The files of a folder: as a `<input type="file" webkitdirectory>` or a drop has them, or the folder's handle. */
export type FolderFiles = Iterable<File> | FileSystemDirectoryHandle;

/** A folder with `config.json`, `tokenizer.json` and safetensors weights: its address, or its files. */
export interface SafetensorsSource {
  safetensors: string | URL | FolderFiles;
}

/** The files of a package: `model.json`, the tokenizer and the shards. */
export interface PackageSource {
  package: FolderFiles;
}

/** A package by its address or files, or a checkpoint. The address of a page on huggingface.co means the files that the page shows. */
export type ModelSource = string | URL | GgufSource | SafetensorsSource | PackageSource;

/** Options of the conversion of a checkpoint to a package. */
export interface ImportOptions extends ImportSettings {
  /** Options of the network. */
  network?: ImportNetwork;
}

/** Options of the network for the files of a checkpoint. */
export type ImportNetwork = Omit<RemoteFileOptions, "signal" | "onReceived">;

/** A package that was made from a checkpoint, now or earlier. */
export interface ImportResult {
  /** Address for `Engine.load`. */
  packageUrl: string;
  /** The model's name. */
  name: string;
  /** Peak size of the wasm module's memory, in bytes. */
  wasmBytes: number;
}

/** A checkpoint as it is sent to the worker: addresses are absolute. */
export type WireSource =
  | { kind: "gguf"; text: string | Blob; mmproj: string | Blob | null }
  | { kind: "safetensors"; folder: string | LocalFolder }
  | { kind: "package"; folder: LocalFolder };

/** A folder that the user gave. */
export interface LocalFolder {
  /** Its name; empty if unknown. */
  name: string;
  /** Its files, by their paths in it. */
  files: Record<string, File>;
}

/** `null` for the address of a package. Throws `invalid-request` for anything that is not a source. */
export async function wireSource(source: ModelSource): Promise<WireSource | null> {
  if (typeof source === "string" || source instanceof URL) return null;
  if ("gguf" in source) {
    return { kind: "gguf", text: location("gguf", source.gguf), mmproj: source.mmproj ? location("mmproj", source.mmproj) : null };
  }
  if ("package" in source) return { kind: "package", folder: await localFolder("package", source.package, "model.json") };
  if ("safetensors" in source) {
    const { safetensors } = source;
    if (typeof safetensors !== "string" && !(safetensors instanceof URL)) {
      return { kind: "safetensors", folder: await localFolder("safetensors", safetensors, "config.json") };
    }
    const folder = hubFile(absolute("safetensors", safetensors));
    return { kind: "safetensors", folder: folder.endsWith("/") ? folder : `${folder}/` };
  }
  throw invalid("source", "neither an address, nor { gguf }, { safetensors } or { package }");
}

/** The files of a folder, which is the one of the file `main`, so that a folder above it may be given too. */
async function localFolder(field: string, given: FolderFiles, main: string): Promise<LocalFolder> {
  const [name, files] = isHandle(given) ? [given.name, await filesBelow(given)] : filesByPath(field, given);
  const found = Object.keys(files)
    .filter((path) => path === main || path.endsWith(`/${main}`))
    .sort((one, other) => one.length - other.length)[0];
  if (found === undefined) throw invalid(field, `there is no file ${main} among them`);
  const prefix = found.slice(0, -main.length);
  const inside = Object.entries(files).flatMap(([path, file]) => (path.startsWith(prefix) ? [[path.slice(prefix.length), file]] : []));
  return { name: prefix.split("/").at(-2) ?? name, files: Object.fromEntries(inside) as Record<string, File> };
}

function isHandle(given: FolderFiles): given is FileSystemDirectoryHandle {
  return "kind" in given && given.kind === "directory";
}

function filesByPath(field: string, given: Iterable<File>): [string, Record<string, File>] {
  const files: Record<string, File> = {};
  for (const file of given) {
    if (!(file instanceof File)) throw invalid(field, "neither files nor the handle of a folder");
    files[file.webkitRelativePath || file.name] = file;
  }
  return ["", files];
}

/** Files in a folder and in the folders below it, one level deep: checkpoints have no deeper ones that are read. */
async function filesBelow(folder: FileSystemDirectoryHandle, depth = 1): Promise<Record<string, File>> {
  const files: Record<string, File> = {};
  for await (const [name, entry] of folder.entries()) {
    if (entry.kind === "file") files[name] = await entry.getFile();
    else if (depth > 0) {
      for (const [path, file] of Object.entries(await filesBelow(entry, depth - 1))) files[`${name}/${path}`] = file;
    }
  }
  return files;
}

function location(field: string, file: FileLocation): string | Blob {
  return file instanceof Blob ? file : hubFile(absolute(field, file));
}

function absolute(field: string, url: string | URL): string {
  try {
    return absoluteUrl(url);
  } catch {
    throw invalid(field, `${String(url)} is not an address`);
  }
}

/** The address of a file or folder from the address of its page on huggingface.co; other addresses are unchanged. */
function hubFile(url: string): string {
  const { origin, hostname, pathname, search } = new URL(url);
  if (hostname !== "huggingface.co") return url;
  const [owner, name, view, ...rest] = pathname.split("/").filter(Boolean);
  if (!owner || !name) return url;
  if (view === undefined) return `${origin}/${owner}/${name}/resolve/main/`;
  if (view !== "blob" && view !== "tree") return url;
  return `${origin}/${owner}/${name}/resolve/${rest.join("/")}${search}`;
}

function invalid(field: string, reason: string): Error {
  return ocelliError("invalid-request", `${field}: ${reason}`, { field, reason });
}
