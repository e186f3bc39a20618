// ggml's Q6_K: d * scale * (q - 32), with 6-bit integers, an 8-bit scale to 16 elements and d to eight blocks. The lower four bits are stored as in
// `nibbles`; bits 2j and 2j + 1 of byte i are the upper two of element 4j + i in the first word, of element 16 + 4j + i in the second.
//: const FLOATS=0 HALVES_APART=0 WHOLE_BLOCKS TILED
//: use unpack_bytes
//: when TILED
//: const HIGH_BITS=1
//: use tile_quants tile_high_bits

alias HighBits = vec2u;

fn bytes_of(group: u32, j: u32, is_high: u32) -> vec4u {
  let high$c = high_words[group][$c]; //: each c 4
  let high = select(vec4u(high0.x, high1.x, high2.x, high3.x), vec4u(high0.y, high1.y, high2.y, high3.y), is_high == 1u);
  let nibbles = (quant_words_of(group, j) >> vec4u(4u * is_high)) & vec4u(0x0f0f0f0fu);
  return nibbles | (((high >> vec4u(2u * j)) & vec4u(0x03030303u)) << vec4u(4u));
}

//: else
//: when WHOLE_BLOCKS
//: const HALVED HALF_LOADS

@group(0) @binding(next) var<storage, read> w_quants: array<Words>; // [rows, blocks], in halves with HALVED
@group(0) @binding(next) var<storage, read> w_high_bits: array<vec2u>; // [rows, blocks]

struct Quants {
  nibbles: Words,
  high_bits: vec2u,
}

fn load_quants(at: u32) -> Quants {
  return Quants(w_quants[at], w_high_bits[at >> HALVED] >> vec2u(4u * (at & HALVED)));
}

//: each j HALF_LOADS
fn bits$j(quants: Quants) -> vec3u {
  return vec3u(quants.nibbles[$j], quants.high_bits >> vec2u(2u * $ju));
}

//: end
//: else

@group(0) @binding(next) var<storage, read> w_quants: array<u32>; // [rows, blocks * 4]
@group(0) @binding(next) var<storage, read> w_high_bits: array<vec2u>; // [rows, blocks]

fn load_bits(at: u32, j: u32) -> vec3u {
  return vec3u(w_quants[at * 4u + j], w_high_bits[at] >> vec2u(2u * j));
}

//: end
//: end
//: use split_scales

const OFFSET = 32.0;

fn bytes0(bits: vec3u) -> u32 {
  return (bits.x & 0x0f0f0f0fu) | ((bits.y & 0x03030303u) << 4u);
}

fn bytes1(bits: vec3u) -> u32 {
  return ((bits.x >> 4u) & 0x0f0f0f0fu) | ((bits.z & 0x03030303u) << 4u);
}

fn quants0(bits: vec3u) -> vec4f {
  return unpack_bytes(bytes0(bits));
}

fn quants1(bits: vec3u) -> vec4f {
  return unpack_bytes(bytes1(bits));
}
