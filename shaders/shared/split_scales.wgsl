// Scales of halves of blocks: d * scale * (q - OFFSET), with an 8-bit scale to 16 elements and d to eight blocks.
//: const HAS_MIN=0 SPLIT_SCALE=1
//: use super_unit super_words

alias ScaleWords = vec2u; // four times two scales, a byte each
alias SuperScales = vec2u; // four times d

fn scales(group: u32, block: u32) -> Scales {
  let four = bitcast<vec2i>(scale_words_of(group, block)).xxyy;
  let super_scales = super_scales_of(group, block);
  let d = SUPER_UNIT * vec4f(unpack2x16float(super_scales.x), unpack2x16float(super_scales.y));
  let low = vec4f((four << vec4u(24u, 8u, 24u, 8u)) >> vec4u(24u));
  let high = vec4f((four << vec4u(16u, 0u, 16u, 0u)) >> vec4u(24u));
  return Scales(low, high, d);
}
