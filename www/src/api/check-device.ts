/** The GPU as a page finds it before any download. */
import { isNode } from "../node.js";
import { adapterName, isEmulated, isEmulatorName, type AdapterFacts } from "../worker/adapter.js";
import { webglRenderer } from "../worker/names.js";

/** Stable codes of the reasons why a page has no GPU. */
export type DeviceFault =
  /** WebGPU requires a page opened over https or from localhost. */
  | "insecure-context"
  /** This browser, or Node, has no WebGPU, or it is disabled. */
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

/** The GPU that the browser offers, as far as it reports it. */
export interface CheckedDevice {
  /** Name, vendor or architecture of the GPU; empty if the browser hides them all. */
  name: string;
  /** True if the processor emulates the GPU. Models then run on the processor itself, which is many times faster. */
  isSoftware: boolean;
  limits: DeviceLimits;
}

/** Limits that every WebGPU device offers and Ocelli relies on. The other limits decide how weights are divided. */
const LEAST: Partial<DeviceLimits> = {
  maxStorageBuffersPerShaderStage: 8,
  maxComputeWorkgroupStorageSize: 16_384,
  maxComputeInvocationsPerWorkgroup: 256,
};

interface Adapter extends AdapterFacts {
  readonly limits: DeviceLimits;
}

interface Gpu {
  requestAdapter(options: { powerPreference: "high-performance" }): Promise<Adapter | null>;
}

/** The device, or the reason why there is none. */
export async function checkDevice(): Promise<CheckedDevice | DeviceFault> {
  if (isNode()) return "no-webgpu";
  if (typeof Worker === "undefined") return "no-worker";
  if (!globalThis.isSecureContext) return "insecure-context";
  const gpu = (globalThis.navigator as { gpu?: Gpu }).gpu;
  if (!gpu) return "no-webgpu";
  // The same options as in the engine.
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" }).catch(() => null);
  if (!adapter) {
    const renderer = webglRenderer();
    return renderer === "" || isEmulatorName(renderer) ? "no-adapter" : "adapter-blocked";
  }
  const { maxBufferSize, maxStorageBufferBindingSize, maxStorageBuffersPerShaderStage } = adapter.limits;
  const { maxComputeWorkgroupStorageSize, maxComputeInvocationsPerWorkgroup } = adapter.limits;
  return {
    name: adapterName(adapter),
    isSoftware: isEmulated(adapter),
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
