/** What WebGPU here can do beyond what every device can: what wgpu neither asks for in browsers nor sees there. */

/** Optional features that kernels know, as Rust reads them. */
export interface Features {
  f16: boolean;
  subgroups: boolean;
  dot: boolean;
}

/** What the engine is told of the device it is about to open. */
export interface BrowserCaps {
  features: Features;
  subgroupSizes: [number, number] | null;
}

/** As much of WebGPU as is used here. */
interface Adapter {
  readonly features: ReadonlySet<string>;
  readonly info?: { readonly vendor?: string; readonly subgroupMinSize?: number; readonly subgroupMaxSize?: number };
}
type RequestDevice = (this: Adapter, descriptor?: { requiredFeatures?: Iterable<string> }) => Promise<unknown>;
interface WithWebGpu {
  navigator: {
    gpu?: {
      requestAdapter(options: { powerPreference: "high-performance" }): Promise<Adapter | null>;
      readonly wgslLanguageFeatures?: ReadonlySet<string>;
    };
  };
  GPUAdapter?: { prototype: { requestDevice: RequestDevice } };
}

/** Subgroups of any size are a feature of the device; the number of a subgroup is one of the language. */
const SUBGROUPS = "subgroups";
let asksForSubgroups = false;

/** Has every device that is opened from now on asked for subgroups, where its adapter has them. */
function askForSubgroups(prototype: { requestDevice: RequestDevice }): void {
  if (asksForSubgroups) return;
  asksForSubgroups = true;
  const { requestDevice } = prototype;
  prototype.requestDevice = function (descriptor = {}) {
    const asked = new Set(descriptor.requiredFeatures);
    if (this.features.has(SUBGROUPS)) asked.add(SUBGROUPS);
    return requestDevice.call(this, { ...descriptor, requiredFeatures: [...asked] });
  };
}

/** What the device that is opened next will be able to do. 16-bit floats wgpu finds by itself. */
export async function browserCaps(): Promise<BrowserCaps> {
  const { navigator, GPUAdapter } = globalThis as unknown as WithWebGpu;
  const adapter = await navigator.gpu?.requestAdapter({ powerPreference: "high-performance" });
  const language = navigator.gpu?.wgslLanguageFeatures ?? new Set();
  if (!adapter || !GPUAdapter) return { features: { f16: false, subgroups: false, dot: false }, subgroupSizes: null };
  const { vendor, subgroupMinSize, subgroupMaxSize } = adapter.info ?? {};
  const subgroups = adapter.features.has(SUBGROUPS) && language.has("subgroup_id");
  if (subgroups) askForSubgroups(GPUAdapter.prototype);
  // Apple's GPUs make packed products one by one.
  const dot = language.has("packed_4x8_integer_dot_product") && vendor !== "apple";
  const sizes: [number, number] | null = subgroupMinSize && subgroupMaxSize ? [subgroupMinSize, subgroupMaxSize] : null;
  return { features: { f16: false, subgroups, dot }, subgroupSizes: sizes };
}
