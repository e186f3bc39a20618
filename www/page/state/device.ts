/** The choice of the device, and a device in words. */
import type { DeviceChoice, DeviceReport } from "../../src/index.js";
import { words } from "../words/index.js";

/** The device that the page's address asks for by `?device=`. */
export function askedDevice(): DeviceChoice {
  const asked = new URLSearchParams(location.search).get("device");
  return asked === "gpu" || asked === "cpu" ? asked : "auto";
}

/** A GPU, which may be emulated. */
export function gpuWords(name: string, isSoftware: boolean): string {
  return isSoftware ? words.device.emulated(name) : name || words.device.unnamed;
}

/** The device of a loaded model, with the reason if it is not the GPU that there is. */
export function deviceWords({ name, class: kind, threads, reason }: DeviceReport): string {
  if (kind !== "processor") return gpuWords(name, kind !== "hardware");
  const processor = words.device.processor(threads);
  return reason ? words.device.because(processor, reason) : processor;
}
