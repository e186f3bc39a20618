// A matrix in 32-bit floats, rows padded to whole blocks of 32.
@group(0) @binding(4) var<storage, read> w_values: array<vec4f>; // [rows, blocks * 8]

// Elements 4 * k4 .. 4 * k4 + 4 of a row.
fn weight4(row: u32, k4: u32, blocks: u32) -> vec4f {
  return w_values[row * blocks * 8u + k4];
}
