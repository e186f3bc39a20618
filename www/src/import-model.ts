/** Importing as a page sees it. */
import { Connection } from "./connection.js";
import { ocelliError } from "./errors.js";
import type { ImportDescription } from "./import.js";
import { CHECKPOINT, splitCheckpoint } from "./import-sink.js";
import { wireSource, type GgufSource, type ImportOptions, type SafetensorsSource, type WireSource } from "./model-source.js";
import { PACKAGE_CACHE, folderOf } from "./package-folder.js";
import { PROTOCOL_VERSION, type ImportResult, type LoadReport } from "./protocol.js";
import { startWorker } from "./start-worker.js";

export interface MakeOptions {
  onProgress?: (report: LoadReport) => void;
  signal?: AbortSignal;
  worker?: Worker;
  wasmUrl?: string | URL;
  storage?: "prefer" | "require";
  import?: ImportOptions;
}

/**
 * Makes a package of a checkpoint, or finds the one that was made of it, without loading it: no GPU is needed. Interrupted, by
 * `signal` or by the end of the page, it goes on the next time where it was.
 */
export async function importModel(source: GgufSource | SafetensorsSource, options: MakeOptions = {}): Promise<ImportResult> {
  options.signal?.throwIfAborted();
  const checkpoint = wireSource(source) as WireSource;
  const connection = new Connection(options.worker ?? startWorker());
  try {
    return await importThrough(connection, checkpoint, options);
  } finally {
    connection.close(ocelliError("unloaded", "the import is over"));
  }
}

/** The same by a worker that is there. */
export function importThrough(connection: Connection, source: WireSource, options: MakeOptions): Promise<ImportResult> {
  const here = globalThis.document?.baseURI ?? globalThis.location?.href;
  const wasmUrl = options.wasmUrl === undefined ? null : new URL(options.wasmUrl, here).href;
  const request = { version: PROTOCOL_VERSION, source, options: options.import ?? {}, storage: options.storage ?? "prefer", wasmUrl };
  return connection.call("import", request, { signal: options.signal, onEvent: options.onProgress });
}

/** An import that was interrupted. Files that the user gave have to be given again, the same ones. */
export interface InterruptedImport extends ImportDescription {
  /** Its package-to-be: what `packages.delete` takes. */
  url: string;
  /** Bytes of the checkpoint that are imported, and all. */
  loaded: number;
  total: number;
}

/** The imports that can go on where they were: with the same source and options. */
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
