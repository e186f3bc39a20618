/** The device that models run on, in words. */
import type { DeviceChoice } from "../src/index.js";

/** The device that the page's address asks for by `?device=`. */
export function askedDevice(): DeviceChoice {
  const asked = new URLSearchParams(location.search).get("device");
  return asked === "gpu" || asked === "cpu" ? asked : "auto";
}

/** A GPU, which may be emulated. */
export function gpuWords(name: string, isSoftware: boolean): string {
  if (isSoftware) return `a GPU that the processor emulates${name ? ` (${name})` : ""}`;
  return name || "your GPU";
}

/** The processor, with its number of threads if that is known. */
export function processorWords(threads?: number): string {
  const used = threads === undefined ? "" : threads === 1 ? ", on one thread" : `, on ${threads} threads`;
  return `this computer's processor${used}`;
}
