// 16-bit floats, two to a word, so that no device needs shader-f16. Rows are padded to whole blocks of 32.
//: const FLOATS=1 HAS_MIN=0 SPLIT_SCALE=0

@group(0) @binding(next) var<storage, read> w_values: array<vec2u>; // [rows, blocks * 8]

fn load4(i: u32) -> vec4f {
  let four = w_values[i];
  return vec4f(unpack2x16float(four.x), unpack2x16float(four.y));
}
