/** Adapters as browsers report them: names that tell GPUs apart, pipelines compiled ahead that fit the bind groups of wgpu. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { compileAhead, compileFor, type Device } from "../src/worker/compile-ahead.js";
import { type AdapterInfo, browserNames } from "../src/worker/names.js";

const CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36";
const EDGE = `${CHROME} Edg/155.0.0.0`;
const FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0";
const SAFARI = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/27.1 Safari/605.1.15";

test("adapters, renderers and versions of browsers have different names", () => {
  const xe: AdapterInfo = { vendor: "intel", architecture: "xe", device: "", description: "" };
  const rtx: AdapterInfo = { vendor: "nvidia", architecture: "lovelace", device: "", description: "" };
  assert.deepEqual(browserNames(xe, "ANGLE (Intel)", CHROME), { adapter: "intel xe", renderer: "ANGLE (Intel)", browser: "Chrome 156" });
  const all = [
    browserNames(xe, "", CHROME),
    browserNames(rtx, "", CHROME),
    browserNames(rtx, "", CHROME.replace("156", "157")),
    browserNames(rtx, "", EDGE),
    // Firefox and Safari leave the adapter blank.
    browserNames({}, "Mali-G78", FIREFOX),
    browserNames({}, "Apple GPU", FIREFOX),
    browserNames({}, "Apple GPU", SAFARI),
    browserNames({}, "", ""),
  ];
  assert.equal(new Set(all.map((names) => JSON.stringify(names))).size, all.length);
  assert.deepEqual(
    all.map(({ browser }) => browser),
    ["Chrome 156", "Chrome 156", "Chrome 157", "Edge 155", "Firefox 153", "Firefox 153", "Safari 27", ""],
  );
});

/** A device that refuses bind groups whose layout is another object than that of the pipeline, although WebGPU allows equal ones. */
class StrictDevice implements Device {
  private readonly layouts = new WeakMap<object, object>();
  pushErrorScope(): void {}
  popErrorScope(): Promise<null> {
    return Promise.resolve(null);
  }
  createBindGroupLayout(_: Parameters<Device["createBindGroupLayout"]>[0]): object {
    return {};
  }
  createPipelineLayout({ bindGroupLayouts }: { bindGroupLayouts: object[] }): object {
    const layout = {};
    this.layouts.set(layout, bindGroupLayouts[0] ?? {});
    return layout;
  }
  createShaderModule(_: object): object {
    return {};
  }
  createComputePipeline({ layout }: { layout: object }): object {
    return { expects: this.layouts.get(layout) };
  }
  createComputePipelineAsync(descriptor: { layout: object }): Promise<object> {
    return Promise.resolve(this.createComputePipeline(descriptor));
  }
}

test("a pipeline that the browser refused ahead is made by wgpu, from a module of its own", async () => {
  const device = new StrictDevice();
  device.createComputePipelineAsync = () => Promise.reject(new DOMException("refused", "OperationError"));
  const modules: object[] = [];
  device.createShaderModule = () => {
    const module = {};
    modules.push(module);
    return module;
  };
  const own = {};
  device.createComputePipeline = () => own;
  compileFor(device);
  await assert.rejects(compileAhead("rope", "code", [true]), /refused/);
  const module = device.createShaderModule({ label: "rope", code: "code" });
  assert.deepEqual([modules.length, modules.indexOf(module)], [2, 1]);
  assert.equal((device as Device).createComputePipeline({ label: "rope", layout: {}, compute: { module, entryPoint: "main" } }), own);
});

test("pipelines that were compiled ahead accept the bind groups that wgpu makes", async () => {
  const device: Device = new StrictDevice();
  compileFor(device);
  await compileAhead("rope", "code", [true, false]);
  // The layout that wgpu makes.
  const types = ["uniform", "read-only-storage", "storage"];
  const entry = (type: string, binding: number) => ({ binding, visibility: 4, buffer: { hasDynamicOffset: false, type } });
  const bindGroupLayout = device.createBindGroupLayout({ label: "rope", entries: types.map(entry) });
  const module = device.createShaderModule({ label: "rope", code: "code" });
  const layout = device.createPipelineLayout({ label: "rope", bindGroupLayouts: [bindGroupLayout] });
  const pipeline = device.createComputePipeline({ label: "rope", layout, compute: { module, entryPoint: "main" } });
  assert.equal((pipeline as { expects: object }).expects, bindGroupLayout);
  const writable = { ...entry("storage", 0), visibility: 4 };
  assert.notEqual(device.createBindGroupLayout({ entries: [writable] }), bindGroupLayout);
});
