/** The patches of a square picture, for the tower of `benches/onnx/tower.py`. */
import type { TowerShape } from "./peer-types.js";

export interface PatchGrid {
  patches: number;
  /** Angles of the two-dimensional rope: the even frequencies turn by row, the odd ones by column. `// [patches, headDim / 2]` */
  cos: Float32Array;
  sin: Float32Array;
  /** The patches, square by square of those that become one token. */
  squares: number[];
}

export function patchGrid({ patchSize, headDim, theta, merge }: TowerShape, side: number): PatchGrid {
  const width = side / patchSize;
  const patches = width * width;
  const half = headDim / 2;
  const angles = Float32Array.from({ length: patches * half }, (_, i) => {
    const [patch, j] = [Math.floor(i / half), i % half];
    const byRow = j < half / 2;
    const frequency = theta ** (-(4 * (j % (half / 2)) + (byRow ? 0 : 2)) / headDim);
    return (byRow ? Math.floor(patch / width) : patch % width) * frequency;
  });
  const inSquare = (patch: number): number => {
    const [row, column] = [Math.floor(patch / width), patch % width];
    const square = Math.floor(row / merge) * (width / merge) + Math.floor(column / merge);
    return square * merge * merge + (row % merge) * merge + (column % merge);
  };
  const squares = Array.from({ length: patches }, (_, patch) => patch).sort((a, b) => inSquare(a) - inSquare(b));
  return { patches, cos: angles.map(Math.cos), sin: angles.map(Math.sin), squares };
}
