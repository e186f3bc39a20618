// 16-bit scales, one to BLOCKS_OF_SCALE blocks of a row; those of four rows are adjacent.
//: const HAS_MIN=0 SPLIT_SCALE=0 BLOCKS_OF_SCALE TILED
//: when TILED
//: const SUPER_SCALES=0
//: use tile_scales

alias ScaleWords = vec2u;

fn scale_words_of(group: u32, block: u32) -> ScaleWords {
  return scale_words[group];
}

//: else

@group(0) @binding(next) var<storage, read> w_scales: array<vec2u>; // [rows / 4, ceil(blocks / BLOCKS_OF_SCALE)], four f16 each

fn scale_words_of(group: u32, block: u32) -> vec2u {
  return w_scales[group * ((p.blocks + BLOCKS_OF_SCALE - 1u) / BLOCKS_OF_SCALE) + block / BLOCKS_OF_SCALE];
}

//: end
fn scales(group: u32, block: u32) -> Scales {
  let four = scale_words_of(group, block);
  return Scales(vec4f(unpack2x16float(four.x), unpack2x16float(four.y)));
}
