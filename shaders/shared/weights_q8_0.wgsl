// A matrix in 8-bit integers with one 16-bit scale to a block of 32.
@group(0) @binding(4) var<storage, read> w_values: array<u32>; // [rows, blocks * 8]
@group(0) @binding(5) var<storage, read> w_scales: array<vec2u>; // [rows / 4, blocks], four f16 each

fn block_scale(row: u32, block: u32, blocks: u32) -> f32 {
  let four = w_scales[(row >> 2u) * blocks + block];
  let two = unpack2x16float(select(four.x, four.y, (row & 2u) != 0u));
  return select(two.x, two.y, (row & 1u) != 0u);
}

// Elements 4 * k4 .. 4 * k4 + 4 of a row.
fn weight4(row: u32, k4: u32, blocks: u32) -> vec4f {
  let bytes = vec4u(w_values[row * blocks * 8u + k4]) << vec4u(24u, 16u, 8u, 0u);
  let quants = vec4f(bitcast<vec4i>(bytes) >> vec4u(24u));
  return quants * block_scale(row, k4 >> 3u, blocks);
}
