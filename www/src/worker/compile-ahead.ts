/**
 * Pipelines that the browser compiles in parallel. wgpu 30 has only the call that compiles one after another, in the process that draws
 * all pages; for a pipeline that was compiled here this call returns at once.
 */
import type { BrowserDevice } from "../wasm/ocelli.js";

type CompileAhead = BrowserDevice["compileAhead"];

interface Shader {
  label: string;
  code: string;
}
/** An entry of a layout of bind groups. wgpu leaves out what is not set. */
interface Entry {
  binding: number;
  visibility: number;
  buffer?: { type?: string; hasDynamicOffset?: boolean; minBindingSize?: number };
}
interface Pipeline {
  label: string;
  layout: object;
  compute: { module: object; entryPoint: string };
}

/** The part of WebGPU that is used here. */
export interface Device {
  pushErrorScope(filter: "validation"): void;
  popErrorScope(): Promise<unknown>;
  createBindGroupLayout(descriptor: { label?: string; entries: Entry[] }): object;
  createPipelineLayout(descriptor: { label: string; bindGroupLayouts: object[] }): object;
  createShaderModule(descriptor: Shader): object;
  createComputePipeline(descriptor: Pipeline): object;
  createComputePipelineAsync(descriptor: Pipeline): Promise<object>;
}

const COMPUTE_STAGE = 4;

/** Compiles for the device that was opened last. */
let compile: CompileAhead = () => Promise.resolve();

export const compileAhead: CompileAhead = (label, code, readOnly) => compile(label, code, readOnly);

/** Makes `compileAhead` compile for `device`, for which nothing must have been compiled yet. */
export function compileFor(device: Device): void {
  /** Shader modules by WGSL, until wgpu creates them. */
  const modules = new Map<string, object>();
  const pipelines = new WeakMap<object, object>();
  const { createShaderModule, createComputePipeline } = device;
  shareLayouts(device);
  compile = async (label, code, readOnly) => {
    // Errors are ignored here: wgpu gets them again when it creates the module.
    device.pushErrorScope("validation");
    const module = createShaderModule.call(device, { label, code });
    const layout = pipelineLayout(device, label, readOnly);
    void device.popErrorScope();
    const pipeline = await device.createComputePipelineAsync({ label, layout, compute: { module, entryPoint: "main" } });
    pipelines.set(module, pipeline);
    modules.set(code, module);
  };
  device.createShaderModule = (descriptor) => {
    const module = modules.get(descriptor.code);
    modules.delete(descriptor.code);
    return module ?? createShaderModule.call(device, descriptor);
  };
  device.createComputePipeline = (descriptor) => pipelines.get(descriptor.compute.module) ?? createComputePipeline.call(device, descriptor);
}

/**
 * Makes all layouts with the same entries one object. Bind groups of an equal layout of another object are valid too, but a browser that refused
 * them would refuse every dispatch of a pipeline that was compiled here.
 */
function shareLayouts(device: Device): void {
  const { createBindGroupLayout } = device;
  const layouts = new Map<string, object>();
  device.createBindGroupLayout = (descriptor) => {
    const key = JSON.stringify(
      descriptor.entries.map(({ binding, visibility, buffer, ...others }) => [
        [binding, visibility, buffer?.type, buffer?.hasDynamicOffset ?? false, buffer?.minBindingSize ?? 0],
        others,
      ]),
    );
    const layout = layouts.get(key) ?? createBindGroupLayout.call(device, descriptor);
    layouts.set(key, layout);
    return layout;
  };
}

/** Parameters first, then storage buffers, as in `src/gpu/compile.rs`. */
function pipelineLayout(device: Device, label: string, readOnly: boolean[]): object {
  const types = ["uniform", ...readOnly.map((isRead) => (isRead ? "read-only-storage" : "storage"))];
  const entries = types.map((type, binding) => ({ binding, visibility: COMPUTE_STAGE, buffer: { type } }));
  const bindGroupLayout = device.createBindGroupLayout({ label, entries });
  return device.createPipelineLayout({ label, bindGroupLayouts: [bindGroupLayout] });
}
