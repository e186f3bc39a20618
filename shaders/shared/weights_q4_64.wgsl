// A matrix in 4-bit integers with one 16-bit scale to two blocks of 32, of which the last may stand alone. Quants lie as in q4_0.
@group(0) @binding(4) var<storage, read> w_values: array<u32>; // [rows, blocks * 4]
@group(0) @binding(5) var<storage, read> w_scales: array<vec2u>; // [rows / 4, (blocks + 1) / 2], four f16 each

fn block_scale(row: u32, block: u32, blocks: u32) -> f32 {
  let four = w_scales[(row >> 2u) * ((blocks + 1u) >> 1u) + (block >> 1u)];
  let two = unpack2x16float(select(four.x, four.y, (row & 2u) != 0u));
  return select(two.x, two.y, (row & 1u) != 0u);
}

// Elements 4 * k4 .. 4 * k4 + 4 of a row.
fn weight4(row: u32, k4: u32, blocks: u32) -> vec4f {
  let block = k4 >> 3u;
  let word = w_values[(row * blocks + block) * 4u + (k4 & 3u)] >> (k4 & 4u);
  let nibbles = (vec4u(word) >> vec4u(0u, 8u, 16u, 24u)) & vec4u(15u);
  return (vec4f(nibbles) - 8.0) * block_scale(row, block, blocks);
}
