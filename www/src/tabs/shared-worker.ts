/** The worker of a model that several tabs share. */
import { importedPackage } from "../import/package-id.js";
import type { ImportOptions, WireSource } from "../import/model-source.js";
import { isNode } from "../node.js";
import { webSha256 } from "../store/hash.js";
import { packageUrl } from "../store/packages.js";
import { PROTOCOL_VERSION } from "../worker/protocol.js";
import { startWebWorker, startWorker, type Parts } from "../worker/start-worker.js";
import type { EngineWorker } from "../worker/connection.js";
import { TabWorker } from "./tab-worker.js";

/** Everything that identifies an engine. Tabs share one if all of it is equal. */
export interface Wanted {
  /** The address of a package, or a checkpoint. */
  source: string | URL | WireSource;
  import: ImportOptions;
  /** All other options that affect answers. */
  options: unknown;
}

/** One worker for all tabs, or this tab's own if the browser has no locks. */
export async function sharedWorker({ source, import: settings, options }: Wanted, parts: Parts): Promise<EngineWorker> {
  if (isNode() || !globalThis.navigator?.locks || typeof BroadcastChannel === "undefined") return startWorker(parts);
  const isPackage = typeof source === "string" || source instanceof URL;
  const folder = isPackage ? packageUrl(source) : await importedPackage(source, settings, webSha256);
  return new TabWorker(`ocelli-engine/${JSON.stringify([PROTOCOL_VERSION, folder, options])}`, () => startWebWorker(parts));
}
