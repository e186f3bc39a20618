// ggml's Q6_K: x = d * scale * (q - 32), with an 8-bit scale to 16 elements and d to eight blocks. The lower four bits lie as in
// q4_0; bits 2j and 2j + 1 of byte i are the upper two of element 4j + i in the first word, of 16 + 4j + i in the second.
@group(0) @binding(4) var<storage, read> w_values: array<u32>; // [rows, blocks * 4]
@group(0) @binding(5) var<storage, read> w_tops: array<u32>; // [rows, blocks * 2]
@group(0) @binding(6) var<storage, read> w_scales: array<vec2u>; // [rows / 4, blocks], four times two scales, a byte each
@group(0) @binding(7) var<storage, read> w_supers: array<vec2u>; // [rows / 4, blocks / 8], four times d, an f16 each

// d * scale of the 16 elements that `side` of a block holds.
fn block_scale(row: u32, block: u32, side: u32, blocks: u32) -> f32 {
  let group = row >> 2u;
  let four = w_scales[group * blocks + block];
  let bits = select(four.x, four.y, (row & 2u) != 0u) << (24u - ((row & 1u) << 4u) - (side << 3u));
  let supers = w_supers[group * (blocks >> 3u) + (block >> 3u)];
  let two = unpack2x16float(select(supers.x, supers.y, (row & 2u) != 0u));
  return select(two.x, two.y, (row & 1u) != 0u) * f32(bitcast<i32>(bits) >> 24u);
}

// Elements 4 * k4 .. 4 * k4 + 4 of a row.
fn weight4(row: u32, k4: u32, blocks: u32) -> vec4f {
  let block = k4 >> 3u;
  let side = (k4 >> 2u) & 1u;
  let low = (w_values[(row * blocks + block) * 4u + (k4 & 3u)] >> (k4 & 4u)) & 0x0f0f0f0fu;
  let top = (w_tops[(row * blocks + block) * 2u + side] >> ((k4 & 3u) << 1u)) & 0x03030303u;
  let quants = vec4f((vec4u(low | (top << 4u)) >> vec4u(0u, 8u, 16u, 24u)) & vec4u(63u));
  return (quants - 32.0) * block_scale(row, block, side, blocks);
}
