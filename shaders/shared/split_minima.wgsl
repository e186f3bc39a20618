// Scales and minima of halves of blocks: d * scale * q - dmin * min, with a 4-bit scale and minimum to 16 elements, and d and dmin to eight blocks.
//: const HAS_MIN=1 SPLIT_SCALE=1
//: use super_unit super_words

alias ScaleWords = vec2u; // four times two bytes: scale and minimum of each half
alias SuperScales = vec4u; // four times d and dmin

fn scales(group: u32, block: u32) -> Scales {
  let four = scale_words_of(group, block).xxyy;
  let super_scales = super_scales_of(group, block);
  let low = (four >> vec4u(0u, 16u, 0u, 16u)) & vec4u(0xffu);
  let high = (four >> vec4u(8u, 24u, 8u, 24u)) & vec4u(0xffu);
  let row$r = SUPER_UNIT * unpack2x16float(super_scales[$r]); //: each r 4
  let d = vec4f(row0.x, row1.x, row2.x, row3.x);
  let dmin = vec4f(row0.y, row1.y, row2.y, row3.y);
  return Scales(
    vec4f(vec4i(low & vec4u(15u))), dmin * vec4f(vec4i(low >> vec4u(4u))),
    vec4f(vec4i(high & vec4u(15u))), dmin * vec4f(vec4i(high >> vec4u(4u))), d,
  );
}
