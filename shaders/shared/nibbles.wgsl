// 4-bit quants: word j of a block holds elements 4j .. 4j + 4 in its low nibbles and elements 16 + 4j .. 16 + 4j + 4 in its high ones.
//: const FLOATS=0 HALVES_APART=0 SPLIT_SCALE=0 WHOLE_BLOCKS TILED
//: when TILED
//: const HIGH_BITS=0
//: use tile_quants

fn bytes_of(group: u32, j: u32, is_high: u32) -> vec4u {
  return (quant_words_of(group, j) >> vec4u(4u * is_high)) & vec4u(0x0f0f0f0fu);
}

//: else
//: when WHOLE_BLOCKS
//: const HALVED HALF_LOADS

@group(0) @binding(next) var<storage, read> w_quants: array<Words>; // [rows, blocks], in halves with HALVED

alias Quants = Words;

fn load_quants(at: u32) -> Quants {
  return w_quants[at];
}

//: each j HALF_LOADS
fn bits$j(quants: Quants) -> u32 {
  return quants[$j];
}

//: end
//: else

@group(0) @binding(next) var<storage, read> w_quants: array<u32>; // [rows, blocks * 4]

fn load_bits(at: u32, j: u32) -> u32 {
  return w_quants[at * 4u + j];
}

//: end
//: end
fn bytes0(bits: u32) -> u32 {
  return bits & 0x0f0f0f0fu;
}

fn bytes1(bits: u32) -> u32 {
  return (bits >> 4u) & 0x0f0f0f0fu;
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
