// Scales of blocks: d * scale, with a signed byte to 32 elements and d to eight blocks.
//: const HAS_MIN=0 SPLIT_SCALE=0
//: use super_unit super_words

alias ScaleWords = u32; // four times a scale, a byte each
alias SuperScales = vec2u; // four times d

fn scales(group: u32, block: u32) -> Scales {
  let four = bitcast<vec4i>(vec4u(scale_words_of(group, block)) << vec4u(24u, 16u, 8u, 0u)) >> vec4u(24u);
  let super_scales = super_scales_of(group, block);
  return Scales(SUPER_UNIT * vec4f(unpack2x16float(super_scales.x), unpack2x16float(super_scales.y)) * vec4f(four));
}
