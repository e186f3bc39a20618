// Quads of a block of 4-bit integers. A nibble is masked, not shifted: inputs are divided by what it is then worth too much.
const LOW_UNIT = vec4f(1.0, 0x1p-8, 0x1p-16, 0x1p-24);
const HIGH_UNIT = vec4f(0x1p-4, 0x1p-12, 0x1p-20, 1.0);

fn low(word: u32) -> vec4f {
  return vec4f(vec4i(vec4u(word) & vec4u(0xfu, 0xf00u, 0xf0000u, 0xf000000u)));
}

// The last is shifted, so that no sign is set.
fn high(word: u32) -> vec4f {
  return vec4f(vec4i(vec4u(word & 0xf0u, word & 0xf000u, word & 0xf00000u, word >> 28u)));
}

//: each j 4
// Elements 4j .. 4j + 4, and 16 + 4j .. 16 + 4j + 4, of each row.
fn low_quads$j(w: Block) -> mat4x4f {
  return mat4x4f(low(w.rows[0][$j]), low(w.rows[1][$j]), low(w.rows[2][$j]), low(w.rows[3][$j]));
}

fn high_quads$j(w: Block) -> mat4x4f {
  return mat4x4f(high(w.rows[0][$j]), high(w.rows[1][$j]), high(w.rows[2][$j]), high(w.rows[3][$j]));
}

//: end
