// 5-bit quants: the lower four lie as in `nibbles`, and bit j of byte i of a block's word of high bits is the fifth of element 4j + i.
//: const FLOATS=0 SPLIT_SCALE=0 WHOLE_BLOCKS
//: use bytes
//: when WHOLE_BLOCKS

@group(0) @binding(next) var<storage, read> w_quants: array<vec4u>; // [rows, blocks]
@group(0) @binding(next) var<storage, read> w_high_bits: array<u32>; // [rows, blocks]

struct Quants {
  nibbles: vec4u,
  high_bits: u32,
}

fn load_quants(at: u32) -> Quants {
  return Quants(w_quants[at], w_high_bits[at]);
}

//: each j 4
fn bits$j(quants: Quants) -> vec2u {
  return vec2u(quants.nibbles[$j], quants.high_bits >> $ju);
}

//: end
//: else

@group(0) @binding(next) var<storage, read> w_quants: array<u32>; // [rows, blocks * 4]
@group(0) @binding(next) var<storage, read> w_high_bits: array<u32>; // [rows, blocks]

fn load_bits(at: u32, j: u32) -> vec2u {
  return vec2u(w_quants[at * 4u + j], w_high_bits[at] >> j);
}

//: end
fn bytes0(bits: vec2u) -> u32 {
  return (bits.x & 0x0f0f0f0fu) | ((bits.y & 0x01010101u) << 4u);
}

fn bytes1(bits: vec2u) -> u32 {
  return ((bits.x >> 4u) & 0x0f0f0f0fu) | (bits.y & 0x10101010u);
}

fn quants0(bits: vec2u) -> vec4f {
  return bytes4(bytes0(bits));
}

fn quants1(bits: vec2u) -> vec4f {
  return bytes4(bytes1(bits));
}
