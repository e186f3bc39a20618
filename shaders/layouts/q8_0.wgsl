// ggml's Q8_0: 8-bit integers, a 16-bit scale to a block of 32.
//: const BLOCKS_OF_SCALE=1 HALVES_APART=1 FLOATS=0 WHOLE_BLOCKS PACKED TILED PIECES
//: when TILED
//: const HIGH_BITS=0
//: use tile_quants
//: end
//: use block_scales
//: when TILED

fn bytes_of(group: u32, j: u32, is_high: u32) -> vec4u {
  return quant_words_of(group, j) ^ vec4u(0x80808080u);
}

//: else
//: when WHOLE_BLOCKS

@group(0) @binding(next) var<storage, read> w_quants: array<vec4u>; // [rows, blocks * 2]

//: when PIECES
fn load_words(at: u32) -> vec4u {
  return w_quants[at];
}

//: unless PACKED
//: each j 4
fn piece$j(words: vec4u) -> vec4f {
  return signed4(words[$j]);
}

//: end
//: end
//: else
struct Quants {
  low: vec4u,
  high: vec4u,
}

fn load_quants(at: u32) -> Quants {
  return Quants(w_quants[2u * at], w_quants[2u * at + 1u]);
}

//: each j 4
fn bits$j(quants: Quants) -> vec2u {
  return vec2u(quants.low[$j], quants.high[$j]);
}

//: end
//: end
//: else

@group(0) @binding(next) var<storage, read> w_quants: array<u32>; // [rows, blocks * 8]

fn load_bits(at: u32, j: u32) -> vec2u {
  return vec2u(w_quants[at * 8u + j], w_quants[at * 8u + 4u + j]);
}

fn load_half_bits(at: u32, k4: u32) -> vec2u {
  return vec2u(w_quants[at * 8u + k4]);
}

//: end
//: end
//: when PACKED
const OFFSET = 0.0;

fn bytes0(bits: vec2u) -> u32 {
  return bits.x;
}

fn bytes1(bits: vec2u) -> u32 {
  return bits.y;
}
//: else
// 128 is added to make the integers positive: bytes are then masked in place and converted without their sign. The last byte is shifted, because in
// place its top bit would be the sign.
const OFFSET = 128.0;
const UNIT0 = vec4f(1.0, 0x1p-8, 0x1p-16, 1.0);
const UNIT1 = UNIT0;

fn signed4(bytes: u32) -> vec4f {
  let word = bytes ^ 0x80808080u;
  return vec4f(vec4i(vec4u(word & 0xffu, word & 0xff00u, word & 0xff0000u, word >> 24u)));
}

fn quants0(bits: vec2u) -> vec4f {
  return signed4(bits.x);
}

fn quants1(bits: vec2u) -> vec4f {
  return signed4(bits.y);
}
//: end
