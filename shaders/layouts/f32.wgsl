// 32-bit floats, rows padded to whole blocks of 32.
//: const FLOATS=1 HAS_MIN=0 SPLIT_SCALE=0

@group(0) @binding(next) var<storage, read> w_values: array<vec4f>; // [rows, blocks * 8]

fn load4(i: u32) -> vec4f {
  return w_values[i];
}
