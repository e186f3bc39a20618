/** Adapters of WebGPU as a page sees them. */

type Texts = "vendor" | "architecture" | "device" | "description" | "type";

/** Description of an adapter. Browsers hide parts of it; `type` is there in Chromium with a flag only. */
export interface AdapterFacts {
  readonly info?: Readonly<Partial<Record<Texts, string>>> & { readonly isFallbackAdapter?: boolean };
  /** Older browsers have it here. */
  readonly isFallbackAdapter?: boolean;
}

/** Its name, or its vendor and architecture; empty if the browser hides them all. */
export function adapterName({ info = {} }: AdapterFacts): string {
  const { vendor = "", architecture = "", device = "", description = "" } = info;
  return description || device || [vendor, architecture].filter(Boolean).join(" ");
}

/** True if a processor emulates the GPU. Not every browser reports that, but names tell. */
export function isEmulated({ info = {}, isFallbackAdapter }: AdapterFacts): boolean {
  const { vendor, architecture, device, description, type } = info;
  const isFallback = info.isFallbackAdapter ?? isFallbackAdapter ?? false;
  return isFallback || type?.toLowerCase() === "cpu" || isEmulatorName([vendor, architecture, device, description].join(" "));
}

/** True for names of emulated GPUs, as in `class_of` of `src/gpu/device.rs`. */
export function isEmulatorName(name: string): boolean {
  return /swiftshader|llvmpipe|lavapipe|\bwarp\b|basic render/i.test(name);
}
