// The plane of 4-bit quants: word j of a block holds elements 4j .. 4j + 4 in its low nibbles and elements 16 + 4j .. 16 + 4j + 4 in its high ones.
//: const FLOATS=0 HALVES_APART=0 WHOLE_BLOCKS TILED
//: when TILED
//: const HIGH_BITS=0
//: use tile_quants

// Nibbles of four rows.
fn nibbles_of(group: u32, j: u32, is_high: u32) -> vec4u {
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
fn nibbles0(bits: u32) -> u32 {
  return bits & 0x0f0f0f0fu;
}

fn nibbles1(bits: u32) -> u32 {
  return (bits >> 4u) & 0x0f0f0f0fu;
}
