// ggml's Q5_K: as Q4_K, with the fifth bits apart: bit j of byte i belongs to element 4j + i.
@group(0) @binding(4) var<storage, read> w_values: array<u32>; // [rows, blocks * 4]
@group(0) @binding(5) var<storage, read> w_tops: array<u32>; // [rows, blocks]
@group(0) @binding(6) var<storage, read> w_scales: array<vec2u>; // [rows / 4, blocks], four times scale and minimum, a byte each
@group(0) @binding(7) var<storage, read> w_supers: array<vec4u>; // [rows / 4, blocks / 8], four times d and dmin, an f16 each

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
  let low = (w_values[(row * blocks + block) * 4u + (k4 & 3u)] >> (k4 & 4u)) & 0x0f0f0f0fu;
  let top = (w_tops[row * blocks + block] >> (k4 & 7u)) & 0x01010101u;
  let quants = vec4f((vec4u(low | (top << 4u)) >> vec4u(0u, 8u, 16u, 24u)) & vec4u(31u));
  let scale = block_scale(row, block, blocks);
  return scale.x * quants - scale.y;
}
