// 16-bit scales of blocks whose integers are OFFSET too large. With WIDE, two blocks share a scale; the last may stand alone.
@group(0) @binding(5) var<storage, read> w_scales: array<vec2u>; // [rows / 4, blocks, or half of them], four f16 each

// A column for each of four rows: scale and what comes off afterwards, of its low quads and of its high ones.
fn scales(group: u32, block: u32) -> mat4x4f {
//: when WIDE
  let four = w_scales[group * ((p.blocks + 1u) >> 1u) + (block >> 1u)];
//: end
//: unless WIDE
  let four = w_scales[group * p.blocks + block];
//: end
  let scale = vec4f(unpack2x16float(four.x), unpack2x16float(four.y));
  let least = f32(OFFSET) * scale;
  return transpose(mat4x4f(scale, least, scale, least));
}
