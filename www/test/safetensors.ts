/** Reads the golden data: https://huggingface.co/docs/safetensors, float tensors only. */
import { readFileSync } from "node:fs";

export interface Tensor {
  shape: number[];
  values: Float32Array;
}

export function readTensors(path: string): (name: string) => Tensor {
  const file = readFileSync(path);
  const headerLength = Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.toString("utf8", 8, 8 + headerLength)) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >;
  return (name) => {
    const entry = header[name];
    if (!entry) throw new Error(`${path} has no tensor ${name}`);
    if (entry.dtype !== "F32") throw new Error(`${name} is ${entry.dtype}, not F32`);
    const [begin, end] = entry.data_offsets.map((offset) => 8 + headerLength + offset) as [number, number];
    // A copy, because the tensor may lie at an odd place in the file.
    return { shape: entry.shape, values: new Float32Array(new Uint8Array(file.subarray(begin, end)).buffer) };
  };
}
