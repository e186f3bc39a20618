// Blocks of four rows of a matrix in 4-bit integers: word j holds elements 4j .. 4j + 4 in its low nibbles and elements
// 16 + 4j .. 16 + 4j + 4 in its high ones. A nibble is masked, not shifted: inputs are divided by what it is then worth too much.
@group(0) @binding($VALUES) var<storage, read> w_values: array<vec4u>; // [rows, blocks]

const LOW_UNIT = vec4f(1.0, 0x1p-8, 0x1p-16, 0x1p-24);
const HIGH_UNIT = vec4f(0x1p-4, 0x1p-12, 0x1p-20, 1.0);

struct Block {
  rows: array<vec4u, 4>,
}

fn block_at(group: u32, block: u32) -> Block {
  let at = group * 4u * p.blocks + block;
  return Block(array(w_values[at], w_values[at + p.blocks], w_values[at + 2u * p.blocks], w_values[at + 3u * p.blocks]));
}

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
