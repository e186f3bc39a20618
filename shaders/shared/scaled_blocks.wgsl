// The products of a block with four rows, whose integers share a 16-bit scale and are OFFSET too large. With WIDE, two blocks
// share a scale, the last may stand alone.
@group(0) @binding($SCALES) var<storage, read> w_scales: array<vec2u>; // [rows / 4, blocks, or half of them], four f16 each

fn scaled(group: u32, block: u32, low: vec4f, high: vec4f, total: vec2f) -> vec4f {
//: when WIDE
  let four = w_scales[group * ((p.blocks + 1u) >> 1u) + (block >> 1u)];
//: end
//: unless WIDE
  let four = w_scales[group * p.blocks + block];
//: end
  let scale = vec4f(unpack2x16float(four.x), unpack2x16float(four.y));
  return scale * (low + high - f32(OFFSET) * (total.x + total.y));
}

