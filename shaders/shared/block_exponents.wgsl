// Powers of two, one to a block, as their exponents plus 128.
//: const HAS_MIN=0 SPLIT_SCALE=0 TILED
//: when TILED
//: const SUPER_SCALES=0 BLOCKS_OF_SCALE=1
//: use tile_scales

alias ScaleWords = u32;

fn scale_words_of(group: u32, block: u32) -> ScaleWords {
  return scale_words[group];
}

//: else

@group(0) @binding(next) var<storage, read> w_exponents: array<u32>; // [rows / 4, blocks], four times an exponent, a byte each

fn scale_words_of(group: u32, block: u32) -> u32 {
  return w_exponents[group * p.blocks + block];
}

//: end
// The least two powers are subnormal, which drivers may take for zero; here they are zero.
fn scales(group: u32, block: u32) -> Scales {
  let four = (vec4u(scale_words_of(group, block)) >> vec4u(0u, 8u, 16u, 24u)) & vec4u(0xffu);
  return Scales(bitcast<vec4f>((max(four, vec4u(1u)) - vec4u(1u)) << vec4u(23u)));
}
