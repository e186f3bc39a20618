// ggml's Q4_K: x = d * scale * q - dmin * min, with a 6-bit scale and minimum to a block of 32 and d and dmin to eight blocks.
// Quants lie as in q4_0.
@group(0) @binding(4) var<storage, read> w_values: array<u32>; // [rows, blocks * 4]
@group(0) @binding(5) var<storage, read> w_scales: array<vec2u>; // [rows / 4, blocks], four times scale and minimum, a byte each
@group(0) @binding(6) var<storage, read> w_supers: array<vec4u>; // [rows / 4, blocks / 8], four times d and dmin, an f16 each

// d * scale and dmin * min.
fn block_scale(row: u32, block: u32, blocks: u32) -> vec2f {
  let group = row >> 2u;
  let four = w_scales[group * blocks + block];
  let pair = select(four.x, four.y, (row & 2u) != 0u) >> ((row & 1u) << 4u);
  let supers = w_supers[group * (blocks >> 3u) + (block >> 3u)];
  return unpack2x16float(supers[row & 3u]) * vec2f(vec2u(pair & 255u, (pair >> 8u) & 255u));
}

// Elements 4 * k4 .. 4 * k4 + 4 of a row.
fn weight4(row: u32, k4: u32, blocks: u32) -> vec4f {
  let block = k4 >> 3u;
  let word = w_values[(row * blocks + block) * 4u + (k4 & 3u)] >> (k4 & 4u);
  let quants = vec4f((vec4u(word) >> vec4u(0u, 8u, 16u, 24u)) & vec4u(15u));
  let scale = block_scale(row, block, blocks);
  return scale.x * quants - scale.y;
}
