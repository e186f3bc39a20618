// 5-bit quants: the lower four are stored as in `nibbles`, and bit j of byte i of a block's word of high bits is the fifth of element 4j + i.
//: const FLOATS=0 HALVES_APART=0 WHOLE_BLOCKS TILED
//: use unpack_bytes
//: when TILED
//: const HIGH_BITS=1
//: use tile_quants tile_high_bits

alias HighBits = u32;

fn bytes_of(group: u32, j: u32, is_high: u32) -> vec4u {
  let high = vec4u(high_words[group][0], high_words[group][1], high_words[group][2], high_words[group][3]);
  let nibbles = (quant_words_of(group, j) >> vec4u(4u * is_high)) & vec4u(0x0f0f0f0fu);
  return nibbles | (((high >> vec4u(4u * is_high + j)) & vec4u(0x01010101u)) << vec4u(4u));
}

//: else
//: when WHOLE_BLOCKS
//: const HALVED HALF_LOADS

@group(0) @binding(next) var<storage, read> w_quants: array<Words>; // [rows, blocks], in halves with HALVED
@group(0) @binding(next) var<storage, read> w_high_bits: array<u32>; // [rows, blocks]

struct Quants {
  nibbles: Words,
  high_bits: u32,
}

fn load_quants(at: u32) -> Quants {
  return Quants(w_quants[at], w_high_bits[at >> HALVED] >> (2u * (at & HALVED)));
}

//: each j HALF_LOADS
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
//: end
fn bytes0(bits: vec2u) -> u32 {
  return (bits.x & 0x0f0f0f0fu) | ((bits.y & 0x01010101u) << 4u);
}

fn bytes1(bits: vec2u) -> u32 {
  return ((bits.x >> 4u) & 0x0f0f0f0fu) | (bits.y & 0x10101010u);
}

fn quants0(bits: vec2u) -> vec4f {
  return unpack_bytes(bytes0(bits));
}

fn quants1(bits: vec2u) -> vec4f {
  return unpack_bytes(bytes1(bits));
}
