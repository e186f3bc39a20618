/** Runs rows of the kernel table on the browser's WebGPU. `openReplay` is sent to the page as source text and imports nothing. */

export interface Row {
  name: string;
  uses: { f16: boolean; subgroups: boolean; dot: boolean; largeWorkgroups: boolean };
  tolerance: number;
  launches: {
    kernel: string;
    source: string;
    writes: boolean[];
    params: [number, number];
    binds: [buffer: number, offset: number, bytes: number][];
    grid: [number, number, number];
  }[];
  buffers: [number, number][];
  outputs: { buffer: number; holds: "numbers" | "words" | "halves"; largest: number; words: [number, number] }[];
}

interface Table {
  left: [number, number];
  rows: Row[];
}

export interface Outcome {
  name: string;
  /** The fault found, or null. */
  fault: string | null;
  /** Numbers that were checked. */
  checked: number;
  /** Largest difference, relative to the largest number. */
  worst: number;
}

/** The object that `openReplay` puts into the page. */
export interface Replay {
  features: string[];
  /** True if the device offers workgroups of 512 threads and 32 KiB. */
  hasLargeWorkgroups: boolean;
  language: string[];
  run(rows: number[]): Promise<Outcome[]>;
}

/** Opens a device with the features that kernels use, fetches the table, and puts a {@link Replay} into `window.replay`. */
export async function openReplay(folder: string): Promise<Omit<Replay, "run"> & { rows: Pick<Row, "name" | "uses">[] }> {
  interface Constants {
    GPUBufferUsage: Record<"COPY_DST" | "COPY_SRC" | "MAP_READ" | "STORAGE" | "UNIFORM", number>;
    GPUShaderStage: { COMPUTE: number };
    GPUMapMode: { READ: number };
  }
  const { GPUBufferUsage, GPUShaderStage, GPUMapMode } = globalThis as unknown as Constants;
  const { gpu } = navigator;
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) throw new Error("no adapter");
  const features = ["subgroups", "shader-f16"].filter((feature) => adapter.features.has(feature)) as GPUFeatureName[];
  const most = Math.min(adapter.limits.maxStorageBuffersPerShaderStage, 10);
  const large = { maxComputeInvocationsPerWorkgroup: 512, maxComputeWorkgroupSizeX: 512, maxComputeWorkgroupStorageSize: 32768 };
  const hasLargeWorkgroups = Object.entries(large).every(([limit, least]) => (adapter.limits[limit as keyof typeof large] ?? 0) >= least);
  const requiredLimits = { maxStorageBuffersPerShaderStage: most, ...(hasLargeWorkgroups ? large : {}) };
  const device = await adapter.requestDevice({ requiredFeatures: features, requiredLimits });
  const table = (await (await fetch(`${folder}table.json`)).json()) as Table;
  const bytes = await (await fetch(`${folder}table.bin`)).arrayBuffer();
  const [poison, foreign] = table.left;

  const buffer = ([from, to]: [number, number], usage: number) => {
    const made = device.createBuffer({ size: Math.max(16, Math.ceil((to - from) / 4) * 4), usage: usage | GPUBufferUsage.COPY_DST });
    device.queue.writeBuffer(made, 0, bytes, from, to - from);
    return made;
  };

  const half = (bits: number): number => {
    const [sign, exponent, fraction] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
    if (exponent === 31) return fraction ? NaN : sign * Infinity;
    return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024));
  };
  const apart = (holds: string, e: number, f: number, [eNumber, fNumber]: [number, number]) =>
    holds === "halves"
      ? Math.max(Math.abs(half(e & 0xffff) - half(f & 0xffff)), Math.abs(half(e >>> 16) - half(f >>> 16)))
      : Math.abs(eNumber - fNumber);

  const compare = (row: Row, output: Row["outputs"][number], found: ArrayBuffer): Outcome => {
    const [from, to] = output.words;
    const expected = bytes.slice(from, to);
    const words: [Uint32Array, Uint32Array] = [new Uint32Array(expected), new Uint32Array(found)];
    const numbers: [Float32Array, Float32Array] = [new Float32Array(expected), new Float32Array(found)];
    const tolerance = output.holds === "halves" ? Math.max(row.tolerance, 1 / 1024) : row.tolerance;
    let [checked, worst] = [0, 0];
    for (let at = 0; at < words[0].length; at++) {
      const [e, f] = [words[0][at] as number, words[1][at] as number];
      const isLeft = e === poison || e === foreign;
      if (!isLeft) checked++;
      if (e === f) continue;
      const pair: [number, number] = [numbers[0][at] as number, numbers[1][at] as number];
      const off = apart(output.holds, e, f, pair) / output.largest;
      if (isLeft || output.holds === "words" || !(off <= tolerance)) {
        const fault = `${pair[1]} (${f.toString(16)}) at ${at - 64} where ${isLeft ? "nothing is expected" : `${pair[0]} (${e.toString(16)}) is right`}`;
        return { name: row.name, fault, checked, worst: off };
      }
      worst = Math.max(worst, off);
    }
    return { name: row.name, fault: null, checked, worst };
  };

  const launch = async (step: Row["launches"][number], buffers: GPUBuffer[]) => {
    const visibility = GPUShaderStage.COMPUTE;
    const types: GPUBufferBindingType[] = [
      "uniform",
      ...step.writes.map((writes): GPUBufferBindingType => (writes ? "storage" : "read-only-storage")),
    ];
    const layout = device.createBindGroupLayout({ entries: types.map((type, binding) => ({ binding, visibility, buffer: { type } })) });
    const module = device.createShaderModule({ code: step.source });
    const { messages } = await module.getCompilationInfo();
    const lines = step.source.split("\n");
    const said = messages.map(({ type, lineNum, message }) => `${type}, line ${lineNum}: ${message}: ${lines[lineNum - 1]?.trim()}`);
    if (messages.some(({ type }) => type === "error")) throw new Error(`${step.kernel}: ${said.join("; ")}`);
    const pipeline = await device.createComputePipelineAsync({
      layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module, entryPoint: "main" },
    });
    const bound = step.binds.map(([index, offset, size]) => ({ buffer: buffers[index] as GPUBuffer, offset, size }));
    const resources = [{ buffer: buffer(step.params, GPUBufferUsage.UNIFORM) }, ...bound];
    const group = device.createBindGroup({ layout, entries: resources.map((resource, binding) => ({ binding, resource })) });
    return { pipeline, group, grid: step.grid };
  };

  const runRow = async (row: Row): Promise<Outcome> => {
    const buffers = row.buffers.map((span) => buffer(span, GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC));
    const launches = [];
    for (const step of row.launches) launches.push(await launch(step, buffers));
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (const { pipeline, group, grid } of launches) {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(...grid);
    }
    pass.end();
    const results = row.outputs.map(({ buffer: index, words: [from, to] }) => {
      const result = device.createBuffer({ size: to - from, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
      encoder.copyBufferToBuffer(buffers[index] as GPUBuffer, 0, result, 0, to - from);
      return result;
    });
    device.queue.submit([encoder.finish()]);
    await Promise.all(results.map((result) => result.mapAsync(GPUMapMode.READ)));
    const outcomes = row.outputs.map((output, at) => compare(row, output, (results[at] as GPUBuffer).getMappedRange()));
    for (const made of [...buffers, ...results]) made.destroy();
    const checked = outcomes.reduce((sum, outcome) => sum + outcome.checked, 0);
    const worst = Math.max(...outcomes.map((outcome) => outcome.worst));
    return {
      name: row.name,
      fault: outcomes.find(({ fault }) => fault)?.fault ?? (checked ? null : "nothing was checked"),
      checked,
      worst,
    };
  };

  const run = (rows: number[]) =>
    Promise.all(
      rows.map(async (at): Promise<Outcome> => {
        const row = table.rows[at] as Row;
        return runRow(row).catch((thrown: unknown) => ({ name: row.name, fault: String(thrown), checked: 0, worst: NaN }));
      }),
    );
  const language = [...(gpu.wgslLanguageFeatures ?? [])] as string[];
  Object.assign(window, { replay: { features, hasLargeWorkgroups, language, run } satisfies Replay });
  return { features, hasLargeWorkgroups, language, rows: table.rows.map(({ name, uses }) => ({ name, uses })) };
}
