// Scales of super-blocks: d * scale * q - dmin * min, with a 6-bit scale and minimum for each block, and d and dmin for eight blocks.
//: const HAS_MIN=1 SPLIT_SCALE=0
//: use super_unit super_words

alias ScaleWords = vec2u; // four times scale and minimum, a byte each
alias SuperScales = vec4u; // four times d and dmin

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
