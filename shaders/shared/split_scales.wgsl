// Scales of halves of blocks: d * scale * (q - OFFSET), with an 8-bit scale to 16 elements and d to eight blocks.
//: const HAS_MIN=0 SPLIT_SCALE=1 TILED
//: use super_unit
//: when TILED
//: const SUPER_SCALES=1 BLOCKS_OF_SCALE=1
//: use tile_scales tile_super_scales

alias ScaleWords = vec2u;
alias SuperScales = vec2u;

fn scale_words_of(group: u32, block: u32) -> ScaleWords {
  return scale_words[group];
}

fn super_scales_of(group: u32, block: u32) -> vec2u {
  return super_words[group];
}

//: else

@group(0) @binding(next) var<storage, read> w_scales: array<vec2u>; // [rows / 4, blocks], four times two scales, a byte each
@group(0) @binding(next) var<storage, read> w_super_scales: array<vec2u>; // [rows / 4, blocks / 8], four times d / SUPER_UNIT, an f16 each

fn scale_words_of(group: u32, block: u32) -> vec2u {
  return w_scales[group * p.blocks + block];
}

fn super_scales_of(group: u32, block: u32) -> vec2u {
  return w_super_scales[group * (p.blocks >> 3u) + (block >> 3u)];
}

//: end
fn scales(group: u32, block: u32) -> Scales {
  let four = bitcast<vec2i>(scale_words_of(group, block)).xxyy;
  let super_scales = super_scales_of(group, block);
  let d = SUPER_UNIT * vec4f(unpack2x16float(super_scales.x), unpack2x16float(super_scales.y));
  let low = vec4f((four << vec4u(24u, 8u, 24u, 8u)) >> vec4u(24u));
  let high = vec4f((four << vec4u(16u, 0u, 16u, 0u)) >> vec4u(24u));
  return Scales(low, high, d);
}
