// A matrix in 16-bit floats, two to a word, so that no device needs shader-f16.
@group(0) @binding(4) var<storage, read> w_values: array<vec2u>; // [rows, blocks * 8]

// Elements 4 * k4 .. 4 * k4 + 4 of a row.
fn weight4(row: u32, k4: u32, blocks: u32) -> vec4f {
  let w = w_values[row * blocks * 8u + k4];
  return vec4f(unpack2x16float(w.x), unpack2x16float(w.y));
}
