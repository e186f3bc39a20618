// Scales of blocks: d * scale, with a signed byte to 32 elements and d to eight blocks.
//: const HAS_MIN=0 SPLIT_SCALE=0 TILED
//: use super_unit
//: when TILED
//: const SUPER_SCALES=1 BLOCKS_OF_SCALE=1
//: use tile_scales tile_super_scales

alias ScaleWords = u32;
alias SuperScales = vec2u;

fn scale_words_of(group: u32, block: u32) -> ScaleWords {
  return scale_words[group];
}

fn super_scales_of(group: u32, block: u32) -> vec2u {
  return super_words[group];
}

//: else

@group(0) @binding(next) var<storage, read> w_scales: array<u32>; // [rows / 4, blocks], four times a scale, a byte each
@group(0) @binding(next) var<storage, read> w_super_scales: array<vec2u>; // [rows / 4, blocks / 8], four times d / SUPER_UNIT, an f16 each

fn scale_words_of(group: u32, block: u32) -> u32 {
  return w_scales[group * p.blocks + block];
}

fn super_scales_of(group: u32, block: u32) -> vec2u {
  return w_super_scales[group * (p.blocks >> 3u) + (block >> 3u)];
}

//: end
fn scales(group: u32, block: u32) -> Scales {
  let four = bitcast<vec4i>(vec4u(scale_words_of(group, block)) << vec4u(24u, 16u, 8u, 0u)) >> vec4u(24u);
  let super_scales = super_scales_of(group, block);
  return Scales(SUPER_UNIT * vec4f(unpack2x16float(super_scales.x), unpack2x16float(super_scales.y)) * vec4f(four));
}
