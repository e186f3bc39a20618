/** Imports of checkpoints from a page. */
import { ocelliError } from "../errors.js";
import { CHECKPOINT, splitCheckpoint, type ImportDescription } from "../import/checkpoint.js";
import {
  wireSource,
  type GgufSource,
  type ImportOptions,
  type ImportResult,
  type PackageSource,
  type SafetensorsSource,
  type WireSource,
} from "../import/model-source.js";
import { moduleUrls } from "../net/module-urls.js";
import { PACKAGE_CACHE, folderOf } from "../store/package-folder.js";
import type { LoadReport } from "../store/report.js";
import { Connection } from "../worker/connection.js";
import { PROTOCOL_VERSION } from "../worker/protocol.js";
import { startWorker, type Parts } from "../worker/start-worker.js";
import { pinsOf, sourceOf } from "./registry.js";

/** Options of an import, with the meaning that they have in `LoadOptions`. */
export interface MakeOptions extends Parts {
  /** Called with the progress. */
  onProgress?: (report: LoadReport) => void;
  /** Interrupts the import; it can be resumed later. */
  signal?: AbortSignal;
  /** `require`: a package that cannot be stored is an error. Default `prefer`. */
  storage?: "prefer" | "require";
  /** Cookies and other credentials of requests. Default `omit`. */
  credentials?: RequestCredentials;
  /** Options of the conversion. */
  import?: ImportOptions;
}

/**
 * Makes a package from a checkpoint, or from that of a known model by its id, or finds the one made earlier, without loading it: no GPU is
 * needed. After an interruption, by `signal` or the end of the page, the next call resumes.
 */
export async function importModel(
  source: GgufSource | SafetensorsSource | PackageSource | string,
  options: MakeOptions = {},
): Promise<ImportResult> {
  options.signal?.throwIfAborted();
  const checkpoint = await wireSource(sourceOf(source));
  if (checkpoint === null) {
    const reason = "not the id of a known model; a checkpoint is { gguf } or { safetensors }, the files of a package are { package }";
    throw ocelliError("invalid-request", `source: ${reason}`, { field: "source", reason });
  }
  const connection = new Connection(startWorker(options));
  try {
    return await importThrough(connection, checkpoint, options);
  } finally {
    connection.close(ocelliError("unloaded", "the import is over"));
  }
}

/** Like `importModel`, in a worker that already runs. */
export async function importThrough(connection: Connection, source: WireSource, options: MakeOptions): Promise<ImportResult> {
  const { storage = "prefer", credentials = "omit" } = options;
  const pins = await pinsOf(source);
  const settings = { ...(pins && { pins }), ...options.import, network: { credentials, ...options.import?.network } };
  const request = { version: PROTOCOL_VERSION, source, options: settings, storage, modules: moduleUrls(options) };
  return connection.call("import", request, { signal: options.signal, onEvent: options.onProgress });
}

/** An interrupted import. To resume it, the user must give the same files again. */
export interface InterruptedImport extends ImportDescription {
  /** Address of the unfinished package, for `packages.delete`. */
  url: string;
  /** Imported bytes of the checkpoint. */
  loaded: number;
  /** Bytes of the checkpoint. */
  total: number;
}

/** The imports that `importModel` or `Engine.load` would resume, with the same source and options. */
export async function interruptedImports(): Promise<InterruptedImport[]> {
  const cache = await caches.open(PACKAGE_CACHE).catch(() => null);
  const found: InterruptedImport[] = [];
  for (const request of (await cache?.keys()) ?? []) {
    if (!request.url.endsWith(`/${CHECKPOINT}`)) continue;
    const entry = await cache?.match(request);
    const head = entry && splitCheckpoint(new Uint8Array(await entry.arrayBuffer()))?.head;
    if (head) found.push({ url: folderOf(request.url), ...head.description, loaded: head.loaded, total: head.total });
  }
  return found;
}
