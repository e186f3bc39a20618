/** Imports a checkpoint in the worker: once, into a package with an address of its own. */
import { ocelliError } from "../errors.js";
import { type ModuleUrls, WasmModule } from "../net/wasm-module.js";
import { sha256With } from "../store/hash.js";
import { parseFiles } from "../store/manifest.js";
import { PackageFolder } from "../store/package-folder.js";
import { freeBytes, readableBytes } from "../store/quota.js";
import type { LoadReport } from "../store/report.js";
import { decoded } from "../url.js";
import type { ImportProgress } from "../wasm/ocelli_import.js";
import initImport, { RequestHandle, importGguf, importSafetensors, sha256, wasmMemory } from "../wasm/ocelli_import.js";
import { CHECKPOINT, type DescribedFile, type ImportDescription } from "./checkpoint.js";
import { FolderSink } from "./folder-sink.js";
import type { ImportOptions, ImportResult, LocalFolder, WireSource } from "./model-source.js";
import { importedPackage } from "./package-id.js";
import { SourceFiles } from "./source-files.js";

const module = new WasmModule("import", initImport);
const digest = sha256With(sha256);

export interface ImportContext {
  options: ImportOptions;
  /** `require`: a package that cannot be stored is an error. */
  storage: "prefer" | "require";
  modules: ModuleUrls;
  signal: AbortSignal;
  onReport: (report: LoadReport) => void;
}

/** Imports `source`, or finds its package. The same source with the same options has one package, shared by all tabs. */
export async function importCheckpoint(source: WireSource, context: ImportContext): Promise<ImportResult> {
  await module.load(context.modules);
  const packageUrl = await importedPackage(source, context.options, digest);
  return exclusively(packageUrl, context.signal, async () => {
    const keepInMemory = context.storage === "prefer";
    const folder = await PackageFolder.open(packageUrl, { keepInMemory, onProblem: (code) => keepInMemory && warn(code, context) });
    const name =
      (await storedName(folder)) ??
      (await (source.kind === "package" ? copyPackage(source.folder, folder, context) : run(source, folder, context)));
    return { packageUrl, name, wasmBytes: wasmMemory() };
  });
}

async function run(source: Exclude<WireSource, { kind: "package" }>, folder: PackageFolder, context: ImportContext): Promise<string> {
  const { signal, onReport } = context;
  const { network, ...settings } = context.options;
  onReport({ kind: "progress", stage: "manifest", loaded: 0, total: 0, cached: false });
  const files = new SourceFiles(source, { ...network, signal }, await folder.has(CHECKPOINT));
  let position = { loaded: 0, total: 0 };
  let isQuotaChecked = false;
  const onProgress = ({ doneBytes, totalBytes }: ImportProgress) => {
    position = { loaded: doneBytes, total: totalBytes };
    onReport({ kind: "progress", stage: "import", ...position, cached: false });
    if (!isQuotaChecked) void warnIfFull(totalBytes - doneBytes, context);
    isQuotaChecked = true;
  };
  const sink = new FolderSink(folder, files, digest, () => ({ description: describe(source, settings), ...position }));
  const cancel = new RequestHandle();
  const stop = () => cancel.cancel();
  signal.addEventListener("abort", stop);
  try {
    if (source.kind === "gguf") return await importGguf(files.text, files.mmproj, settings, files, sink, onProgress, cancel);
    const name = typeof source.folder === "string" ? folderName(source.folder) : source.folder.name || "model";
    return await importSafetensors({ name, ...settings }, files, sink, onProgress, cancel);
  } catch (thrown) {
    signal.throwIfAborted();
    throw thrown;
  } finally {
    signal.removeEventListener("abort", stop);
    files.close();
    cancel.free();
  }
}

/** Copies a package from the user's files, each after its hash was verified; the manifest last. An interrupted copy resumes. */
async function copyPackage(from: LocalFolder, folder: PackageFolder, { signal, onReport }: ImportContext): Promise<string> {
  const read = async (file: string) => {
    const found = from.files[file];
    if (!found) throw ocelliError("invalid-package", `${file}: there is no such file among them`, { file, reason: "is missing" });
    return new Uint8Array(await found.arrayBuffer());
  };
  const manifest = await read("model.json");
  const { name, tokenizer, shards } = parseFiles(manifest);
  const total = shards.reduce((sum, { bytes }) => sum + bytes, tokenizer.bytes);
  let loaded = 0;
  for (const { file, bytes, sha256: expected } of [tokenizer, ...shards]) {
    signal.throwIfAborted();
    if (!(await folder.has(file, expected))) {
      const content = await read(file);
      const actual = await digest(content);
      if (actual !== expected) {
        throw ocelliError("integrity", `${file}: SHA-256 is ${actual}, the manifest says ${expected}`, { file, expected, actual });
      }
      await folder.put(file, content, expected);
    }
    onReport({ kind: "progress", stage: "import", loaded: (loaded += bytes), total, cached: false });
  }
  await folder.put("model.json", manifest);
  return name ?? "";
}

/** Returns the model's name if all files of the package are stored. */
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

function describe(source: Exclude<WireSource, { kind: "package" }>, settings: Omit<ImportOptions, "network">): ImportDescription {
  const place = (file: string | Blob) =>
    typeof file === "string" ? file : { file: file instanceof File ? file.name : "", bytes: file.size };
  if (source.kind === "safetensors") return { source: { safetensors: folderPlace(source.folder) }, options: settings };
  const mmproj = source.mmproj === null ? {} : { mmproj: place(source.mmproj) };
  return { source: { gguf: place(source.text), ...mmproj }, options: settings };
}

function folderPlace(folder: string | LocalFolder): DescribedFile {
  if (typeof folder === "string") return folder;
  return { file: folder.name, bytes: Object.values(folder.files).reduce((sum, { size }) => sum + size, 0) };
}

function folderName(folder: string): string {
  const parts = new URL(folder).pathname.split("/").filter(Boolean);
  const at = parts.indexOf("resolve");
  return decoded(parts[at > 0 ? at - 1 : parts.length - 1] ?? "model");
}

/** Runs `act` in one tab at a time; the next one then finds the package. */
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
