// Quads of a block of 8-bit integers. A byte is masked, not shifted: inputs are divided by what it is then worth too much.
// Integers become positive by 128, which `scaled` takes off again.
const LOW_UNIT = vec4f(1.0, 0x1p-8, 0x1p-16, 1.0);
const HIGH_UNIT = LOW_UNIT;

fn bytes(word: u32) -> vec4f {
  let w = word ^ 0x80808080u;
  return vec4f(vec4i(vec4u(w & 0xffu, w & 0xff00u, w & 0xff0000u, w >> 24u)));
}

//: each j 4
// Elements 4j .. 4j + 4, and 16 + 4j .. 16 + 4j + 4, of each row.
fn low_quads$j(w: Block) -> mat4x4f {
  return mat4x4f(bytes(w.low[0][$j]), bytes(w.low[1][$j]), bytes(w.low[2][$j]), bytes(w.low[3][$j]));
}

fn high_quads$j(w: Block) -> mat4x4f {
  return mat4x4f(bytes(w.high[0][$j]), bytes(w.high[1][$j]), bytes(w.high[2][$j]), bytes(w.high[3][$j]));
}

//: end
