/** Importing in the worker: a checkpoint becomes a package of its own address, once. */
import { SourceFiles } from "./import-files.js";
import { CHECKPOINT, FolderSink } from "./import-sink.js";
import type { Sha256 } from "./hash.js";
import { parseFiles } from "./manifest.js";
import type { ImportOptions, WireSource } from "./model-source.js";
import { importedUrl, PackageFolder } from "./package-folder.js";
import type { ImportResult, LoadReport } from "./protocol.js";
import { freeBytes, readableBytes } from "./room.js";
import { CancelFlag, importGguf, importSafetensors, wasmMemory, type ImportProgress } from "./wasm/ocelli.js";

export interface ImportContext {
  options: ImportOptions;
  /** Whether a package that cannot be kept is worth making. */
  storage: "prefer" | "require";
  sha256: Sha256;
  signal: AbortSignal;
  onReport: (report: LoadReport) => void;
}

/** Imports what is not imported yet. Of one source with the same options there is one package, whatever tab asks for it. */
export async function importModel(source: WireSource, context: ImportContext): Promise<ImportResult> {
  const packageUrl = importedUrl(await identify(source, context));
  return exclusively(packageUrl, context.signal, async () => {
    const keepInMemory = context.storage === "prefer";
    const folder = await PackageFolder.open(packageUrl, { keepInMemory, onProblem: (code) => keepInMemory && warn(code, context) });
    const name = (await storedName(folder)) ?? (await run(source, folder, context));
    return { packageUrl, name, wasmBytes: wasmMemory() };
  });
}

async function run(source: WireSource, folder: PackageFolder, context: ImportContext): Promise<string> {
  const { signal, onReport } = context;
  const { network, ...settings } = context.options;
  onReport({ kind: "progress", stage: "manifest", loaded: 0, total: 0, cached: false });
  const files = new SourceFiles(source, { ...network, signal }, await folder.has(CHECKPOINT));
  let at = { loaded: 0, total: 0 };
  let isRoomChecked = false;
  const onProgress = ({ doneBytes, totalBytes }: ImportProgress) => {
    at = { loaded: doneBytes, total: totalBytes };
    onReport({ kind: "progress", stage: "import", ...at, cached: false });
    if (!isRoomChecked) void warnIfFull(totalBytes - doneBytes, context);
    isRoomChecked = true;
  };
  const sink = new FolderSink(folder, files, context.sha256, () => ({ description: description(source, settings), ...at }));
  const cancel = new CancelFlag();
  const stop = () => cancel.cancel();
  signal.addEventListener("abort", stop);
  try {
    const imported =
      source.kind === "gguf"
        ? await importGguf(files.text, files.mmproj, settings, files, sink, onProgress, cancel)
        : await importSafetensors({ name: folderName(source.folder), ...settings }, files, sink, onProgress, cancel);
    return String(imported);
  } catch (thrown) {
    signal.throwIfAborted();
    throw thrown;
  } finally {
    signal.removeEventListener("abort", stop);
    files.close();
    cancel.free();
  }
}

/** The model's name, if all files of the package are stored. */
async function storedName(folder: PackageFolder): Promise<string | null> {
  const manifest = await folder.get("model.json");
  if (!manifest) return null;
  const { name, tokenizer, shards } = parseFiles(manifest);
  for (const { file, sha256 } of [tokenizer, ...shards]) {
    if (await folder.has(file, sha256)) continue;
    await folder.delete("model.json");
    return null;
  }
  return name ?? "";
}

/**
 * The same for the same source and options. Addresses count as they are: whether a file there has changed since is asked
 * when an import goes on, not when its package is loaded.
 */
async function identify(source: WireSource, { options, sha256 }: ImportContext): Promise<string> {
  const parts = source.kind === "gguf" ? [source.text, source.mmproj] : [source.folder];
  const identities = await Promise.all(parts.map((part) => (part instanceof Blob ? identifyFile(part, sha256) : part)));
  const settings = Object.entries(options).filter(([name, value]) => name !== "network" && value !== undefined);
  const text = JSON.stringify([source.kind, identities, settings.sort()]);
  return (await sha256(new TextEncoder().encode(text))).slice(0, 32);
}

async function identifyFile(file: Blob, sha256: Sha256): Promise<unknown> {
  const start = await sha256(new Uint8Array(await file.slice(0, 1 << 16).arrayBuffer()));
  return file instanceof File ? [file.name, file.size, file.lastModified, start] : [file.size, start];
}

/** What a page is told of an import that was interrupted. */
export interface ImportDescription {
  source: { gguf: DescribedFile; mmproj?: DescribedFile } | { safetensors: string };
  options: ImportOptions;
}

/** An address, or what a file was that the user gave. */
export type DescribedFile = string | { file: string; bytes: number };

/** What a page needs to offer going on: files that were given must be given again. */
function description(source: WireSource, settings: Omit<ImportOptions, "network">): ImportDescription {
  const place = (file: string | Blob) => (typeof file === "string" ? file : { file: file instanceof File ? file.name : "", bytes: file.size });
  if (source.kind === "safetensors") return { source: { safetensors: source.folder }, options: settings };
  const mmproj = source.mmproj === null ? {} : { mmproj: place(source.mmproj) };
  return { source: { gguf: place(source.text), ...mmproj }, options: settings };
}

function folderName(folder: string): string {
  const parts = new URL(folder).pathname.split("/").filter(Boolean);
  const at = parts.indexOf("resolve");
  return decodeURIComponent(parts[at > 0 ? at - 1 : parts.length - 1] ?? "model");
}

/** Tabs that want the same package wait for the first, and then find it made. */
async function exclusively<T>(name: string, signal: AbortSignal, act: () => Promise<T>): Promise<T> {
  const locks: LockManager | undefined = globalThis.navigator?.locks;
  return locks ? (locks.request(name, { signal }, act) as Promise<T>) : act();
}

async function warnIfFull(needed: number, context: ImportContext): Promise<void> {
  const free = await freeBytes();
  if (free !== null && free < needed) {
    const message = `The model takes about ${readableBytes(needed)} more, this browser has room for ${readableBytes(free)}.`;
    context.onReport({ kind: "warning", code: "storage-full", message, detail: { wanted: needed, free } });
  }
}

function warn(code: "storage-unavailable" | "storage-full", { onReport }: ImportContext): void {
  const why = code === "storage-full" ? "There is no room to keep the model" : "This browser window keeps no files";
  onReport({ kind: "warning", code, message: `${why}: it will have to be imported again next time.`, detail: null });
}
