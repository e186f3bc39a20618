/** Models to choose from, those that are stored, and imports that can be resumed. */
import { signal } from "@preact/signals-core";
import { Engine, interruptedImports, packages, type DeviceCheck, type InterruptedImport, type StoredPackage } from "../../src/index.js";
import { askedDevice } from "./device.js";
import { graphicsMemory } from "./settings.js";

export const check = signal<DeviceCheck | null>(null);
export const stored = signal<readonly StoredPackage[]>([]);
export const interrupted = signal<readonly InterruptedImport[]>([]);
/** True if the browser never clears this site's storage by itself. */
export const isPersistent = signal(false);

/** Reads all of them again. */
export async function refreshModels(): Promise<void> {
  const device = askedDevice();
  const options = graphicsMemory.value === null ? { device } : { device, gpuMemoryBudget: graphicsMemory.value * 1e9 };
  const [found, begun, kept] = await Promise.all([
    Engine.check(options),
    interruptedImports().catch(() => []),
    packages.list().catch(() => []),
  ]);
  [check.value, interrupted.value, stored.value] = [found, begun, kept];
  isPersistent.value = (await navigator.storage?.persisted?.().catch(() => false)) ?? false;
}

/** Deletes a stored package, or what is stored of one. */
export async function deletePackage(url: string): Promise<void> {
  await packages.delete(url);
  await refreshModels();
}

export async function protect(): Promise<void> {
  isPersistent.value = await packages.requestPersistence().catch(() => false);
}
