// 16-bit scales and minima, one of each to a block: scale * q + min.
//: const HAS_MIN=1 SPLIT_SCALE=0 BLOCKS_OF_SCALE=1 TILED
//: when TILED
//: const SUPER_SCALES=0
//: use tile_scales

alias ScaleWords = vec4u;

fn scale_words_of(group: u32, block: u32) -> ScaleWords {
  return scale_words[group];
}

//: else

@group(0) @binding(next) var<storage, read> w_scales: array<vec4u>; // [rows / 4, blocks], four times scale and minimum, an f16 each

fn scale_words_of(group: u32, block: u32) -> vec4u {
  return w_scales[group * p.blocks + block];
}

//: end
fn scales(group: u32, block: u32) -> Scales {
  let four = scale_words_of(group, block);
  let row0 = unpack2x16float(four.x);
  let row1 = unpack2x16float(four.y);
  let row2 = unpack2x16float(four.z);
  let row3 = unpack2x16float(four.w);
  return Scales(vec4f(row0.x, row1.x, row2.x, row3.x), -vec4f(row0.y, row1.y, row2.y, row3.y));
}
