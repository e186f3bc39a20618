/** The GPU as a page finds it before any download. */
import { webglRenderer } from "../worker/names.js";

/** Stable codes of the reasons why a page has no GPU. */
export type DeviceFault =
  /** WebGPU requires a page opened over https or from localhost. */
  | "insecure-context"
  /** This browser has no WebGPU, or it is disabled. */
  | "no-webgpu"
  /** WebGL uses a GPU, but the browser does not allow it for WebGPU. */
  | "adapter-blocked"
  /** The browser finds no GPU at all. */
  | "no-adapter"
  /** There are no workers here, as on a server. */
  | "no-worker";

/** Limits of the adapter that decide what it can run. */
export interface DeviceLimits {
  maxBufferSize: number;
  maxStorageBufferBindingSize: number;
  maxStorageBuffersPerShaderStage: number;
  maxComputeWorkgroupStorageSize: number;
  maxComputeInvocationsPerWorkgroup: number;
}

/** The device that Ocelli would use, as far as the browser reports it. */
export interface CheckedDevice {
  /** Name, vendor or architecture of the GPU; empty if the browser hides them all. */
  name: string;
  /** True if a CPU emulates the GPU: everything works, a hundred times slower. */
  isSoftware: boolean;
  limits: DeviceLimits;
}

/** Limits that every WebGPU device offers and Ocelli relies on. The other limits decide how weights are divided. */
const LEAST: Partial<DeviceLimits> = {
  maxStorageBuffersPerShaderStage: 8,
  maxComputeWorkgroupStorageSize: 16_384,
  maxComputeInvocationsPerWorkgroup: 256,
};

interface Adapter {
  readonly limits: DeviceLimits;
  readonly info?: Readonly<Record<"vendor" | "architecture" | "device" | "description", string | undefined>> & {
    readonly isFallbackAdapter?: boolean;
  };
  readonly isFallbackAdapter?: boolean;
}

interface Gpu {
  requestAdapter(options: { powerPreference: "high-performance" }): Promise<Adapter | null>;
}

/** The device, or the reason why there is none. */
export async function checkDevice(): Promise<CheckedDevice | DeviceFault> {
  if (typeof Worker === "undefined") return "no-worker";
  if (!globalThis.isSecureContext) return "insecure-context";
  const gpu = (globalThis.navigator as { gpu?: Gpu }).gpu;
  if (!gpu) return "no-webgpu";
  // The same options as in the engine.
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" }).catch(() => null);
  if (!adapter) return isSoftware(webglRenderer()) ? "no-adapter" : "adapter-blocked";
  const { vendor = "", architecture = "", device = "", description = "" } = adapter.info ?? {};
  const isFallback = adapter.info?.isFallbackAdapter ?? adapter.isFallbackAdapter ?? false;
  const { maxBufferSize, maxStorageBufferBindingSize, maxStorageBuffersPerShaderStage } = adapter.limits;
  const { maxComputeWorkgroupStorageSize, maxComputeInvocationsPerWorkgroup } = adapter.limits;
  return {
    name: description || device || [vendor, architecture].filter(Boolean).join(" "),
    isSoftware: isFallback || isSoftware([vendor, architecture, device, description].join(" ")),
    limits: {
      maxBufferSize,
      maxStorageBufferBindingSize,
      maxStorageBuffersPerShaderStage,
      maxComputeWorkgroupStorageSize,
      maxComputeInvocationsPerWorkgroup,
    },
  };
}

/** The first limit that is below what Ocelli relies on. */
export function shortLimit(limits: DeviceLimits): { limit: string; needed: number; available: number } | null {
  for (const [limit, needed] of Object.entries(LEAST)) {
    const available = limits[limit as keyof DeviceLimits];
    if (available < needed) return { limit, needed, available };
  }
  return null;
}

/** True for names of emulated GPUs, as in `class_of` of `src/gpu/device.rs`. An empty name means that there is no GPU. */
function isSoftware(name: string): boolean {
  return name === "" || /swiftshader|llvmpipe|warp|basic render/i.test(name);
}
