/** Reads the golden data: https://huggingface.co/docs/safetensors, float and id tensors only. */
import { readFileSync } from "node:fs";

export interface Tensor {
  shape: number[];
  /** Ids are converted to floats: they are far below 2^24. */
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
    const [begin, end] = entry.data_offsets.map((offset) => 8 + headerLength + offset) as [number, number];
    // A copy, because the tensor's offset in the file may not be aligned.
    const { buffer } = new Uint8Array(file.subarray(begin, end));
    return { shape: entry.shape, values: numbers(name, entry.dtype, buffer) };
  };
}

function numbers(name: string, dtype: string, buffer: ArrayBuffer): Float32Array {
  switch (dtype) {
    case "F32":
      return new Float32Array(buffer);
    case "I64":
      return Float32Array.from(new BigInt64Array(buffer), Number);
    default:
      throw new Error(`${name} is ${dtype}, neither F32 nor I64`);
  }
}
