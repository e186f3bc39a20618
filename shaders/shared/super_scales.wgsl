// Scales of super-blocks: d * scale * q - dmin * min, with a 6-bit scale and minimum for each block, and d and dmin for eight blocks.
//: const HAS_MIN=1 SPLIT_SCALE=0 TILED
//: use super_unit
//: when TILED
//: const SUPER_SCALES=1 BLOCKS_OF_SCALE=1
//: use tile_scales tile_super_scales

alias ScaleWords = vec2u;
alias SuperScales = vec4u;

fn scale_words_of(group: u32, block: u32) -> ScaleWords {
  return scale_words[group];
}

fn super_scales_of(group: u32, block: u32) -> vec4u {
  return super_words[group];
}

//: else

@group(0) @binding(next) var<storage, read> w_scales: array<vec2u>; // [rows / 4, blocks], four times scale and minimum, a byte each
@group(0) @binding(next) var<storage, read> w_super_scales: array<vec4u>; // [rows / 4, blocks / 8], four times d and dmin / SUPER_UNIT, an f16 each

fn scale_words_of(group: u32, block: u32) -> vec2u {
  return w_scales[group * p.blocks + block];
}

fn super_scales_of(group: u32, block: u32) -> vec4u {
  return w_super_scales[group * (p.blocks >> 3u) + (block >> 3u)];
}

//: end
fn scales(group: u32, block: u32) -> Scales {
  let four = scale_words_of(group, block);
  let super_scales = super_scales_of(group, block);
  let pairs = (four.xxyy >> vec4u(0u, 16u, 0u, 16u)) & vec4u(0xffffu);
  let scale = vec4f(vec4i(pairs & vec4u(255u)));
  let min = vec4f(vec4i(pairs >> vec4u(8u)));
  let row0 = SUPER_UNIT * unpack2x16float(super_scales.x);
  let row1 = SUPER_UNIT * unpack2x16float(super_scales.y);
  let row2 = SUPER_UNIT * unpack2x16float(super_scales.z);
  let row3 = SUPER_UNIT * unpack2x16float(super_scales.w);
  return Scales(vec4f(row0.x, row1.x, row2.x, row3.x) * scale, vec4f(row0.y, row1.y, row2.y, row3.y) * min);
}
