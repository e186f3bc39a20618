/** WebGPU features that wgpu neither requests in browsers nor reports there. */
import type { BrowserCaps } from "../wasm/ocelli.js";
import { adapterName, isEmulated, type AdapterFacts } from "./adapter.js";
import { listFor, type ListedDevice } from "./command-lists.js";
import { compileFor, type Device } from "./compile-ahead.js";
import { browserNames, webglRenderer } from "./names.js";
import { pump, type PumpedDevice } from "./pump.js";

/** The part of WebGPU that is used here. */
interface Adapter extends AdapterFacts {
  readonly features: ReadonlySet<string>;
  readonly info?: AdapterFacts["info"] & { readonly subgroupMinSize?: number; readonly subgroupMaxSize?: number };
}
type RequestDevice = (this: Adapter, descriptor?: { requiredFeatures?: Iterable<string> }) => Promise<Device & ListedDevice & PumpedDevice>;
interface WithWebGpu {
  navigator: {
    readonly userAgent: string;
    gpu?: {
      requestAdapter(options: { powerPreference: "high-performance" }): Promise<Adapter | null>;
      readonly wgslLanguageFeatures?: ReadonlySet<string>;
    };
  };
  GPUAdapter?: { prototype: { requestDevice: RequestDevice } };
}

/** The device feature. The built-in value `subgroup_id` is a separate language feature. */
const SUBGROUPS = "subgroups";
let isWatching = false;
let requestsSubgroups = false;

/** Makes all further devices compile ahead and tell of finished work soon, and request subgroups if they are wanted and the adapter has them. */
function watchDevices(prototype: { requestDevice: RequestDevice }): void {
  if (isWatching) return;
  isWatching = true;
  const { requestDevice } = prototype;
  prototype.requestDevice = async function (descriptor = {}) {
    const requiredFeatures = new Set(descriptor.requiredFeatures);
    if (requestsSubgroups && this.features.has(SUBGROUPS)) requiredFeatures.add(SUBGROUPS);
    const device = await requestDevice.call(this, { ...descriptor, requiredFeatures: [...requiredFeatures] });
    compileFor(device);
    listFor(device);
    await pump(device);
    return device;
  };
}

/** The reason to use the processor: there is no GPU for WebGPU, or the processor emulates it; `null` if there is a GPU. */
export async function whyNoGpu(): Promise<string | null> {
  const { gpu } = (globalThis as unknown as WithWebGpu).navigator;
  if (!gpu) return "there is no WebGPU here, or the page is not in a secure context";
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" }).catch(() => null);
  if (!adapter) return "this browser offers no GPU";
  const name = adapterName(adapter);
  return isEmulated(adapter) ? `this browser's only GPU is emulated by the processor${name && ` (${name})`}` : null;
}

/** Features of the device that is opened next, except 16-bit floats and large workgroups, which wgpu detects itself. */
export async function browserCaps(): Promise<BrowserCaps> {
  const { navigator, GPUAdapter } = globalThis as unknown as WithWebGpu;
  const adapter = await navigator.gpu?.requestAdapter({ powerPreference: "high-performance" });
  const language = navigator.gpu?.wgslLanguageFeatures ?? new Set();
  const names = browserNames(adapter?.info ?? {}, adapter ? webglRenderer() : "", navigator.userAgent);
  if (!adapter || !GPUAdapter)
    return { features: { f16: false, subgroups: false, dot: false, largeWorkgroups: false }, subgroupSizes: null, names };
  watchDevices(GPUAdapter.prototype);
  const { vendor, subgroupMinSize, subgroupMaxSize } = adapter.info ?? {};
  requestsSubgroups = adapter.features.has(SUBGROUPS) && language.has("subgroup_id");
  // Apple's GPUs have no instruction for packed dot products: their compiler emulates them, which is slower than floats.
  const dot = language.has("packed_4x8_integer_dot_product") && vendor !== "apple";
  const subgroupSizes: [number, number] | null = subgroupMinSize && subgroupMaxSize ? [subgroupMinSize, subgroupMaxSize] : null;
  return { features: { f16: false, subgroups: requestsSubgroups, dot, largeWorkgroups: false }, subgroupSizes, names };
}
