// The products of a block with four rows of Q4_K or Q5_K: d * scale * q - dmin * min, with a 6-bit scale and minimum to a block
// and d and dmin to eight.
@group(0) @binding($SCALES) var<storage, read> w_scales: array<vec2u>; // [rows / 4, blocks], four times scale and minimum, a byte each
@group(0) @binding($SUPERS) var<storage, read> w_supers: array<vec4u>; // [rows / 4, blocks / 8], four times d and dmin, an f16 each

fn scaled(group: u32, block: u32, low: vec4f, high: vec4f, total: vec2f) -> vec4f {
  let four = w_scales[group * p.blocks + block];
  let supers = w_supers[group * (p.blocks >> 3u) + (block >> 3u)];
  let pairs = (four.xxyy >> vec4u(0u, 16u, 0u, 16u)) & vec4u(0xffffu);
  let scale = vec4f(vec4i(pairs & vec4u(255u)));
  let least = vec4f(vec4i(pairs >> vec4u(8u)));
  let row0 = unpack2x16float(supers.x);
  let row1 = unpack2x16float(supers.y);
  let row2 = unpack2x16float(supers.z);
  let row3 = unpack2x16float(supers.w);
  let d = vec4f(row0.x, row1.x, row2.x, row3.x);
  let dmin = vec4f(row0.y, row1.y, row2.y, row3.y);
  return d * scale * (low + high) - dmin * least * (total.x + total.y);
}

