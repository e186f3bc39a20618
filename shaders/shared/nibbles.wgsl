// 4-bit quants.
//: const WHOLE_BLOCKS TILED
//: use nibble_plane
//: when TILED

fn bytes_of(group: u32, j: u32, is_high: u32) -> vec4u {
  return nibbles_of(group, j, is_high);
}
//: end

fn bytes0(bits: u32) -> u32 {
  return nibbles0(bits);
}

fn bytes1(bits: u32) -> u32 {
  return nibbles1(bits);
}

// Nibbles are masked in place and their inputs multiplied by the matching power of two, because shifts are slow on processors.
const UNIT0 = vec4f(1.0, 0x1p-8, 0x1p-16, 0x1p-24);

fn quants0(bits: u32) -> vec4f {
  return vec4f(vec4i(vec4u(bits) & vec4u(0xfu, 0xf00u, 0xf0000u, 0xf000000u)));
}

//: when WHOLE_BLOCKS
const UNIT1 = vec4f(0x1p-4, 0x1p-12, 0x1p-20, 1.0);

// The last nibble is shifted, because in place its top bit would be the sign.
fn quants1(bits: u32) -> vec4f {
  return vec4f(vec4i(vec4u(bits & 0xf0u, bits & 0xf000u, bits & 0xf00000u, bits >> 28u)));
}
//: else
// One shift, so that both halves use the same factors.
const UNIT1 = UNIT0;

fn quants1(bits: u32) -> vec4f {
  return quants0(bits >> 4u);
}
//: end
