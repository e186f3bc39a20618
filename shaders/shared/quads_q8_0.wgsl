// Blocks of four rows of a matrix in 8-bit integers. A byte is masked, not shifted: inputs are divided by what it is then worth
// too much. Integers become positive by 128, which `scaled` takes off again.
@group(0) @binding($VALUES) var<storage, read> w_values: array<vec4u>; // [rows, blocks * 2]

const LOW_UNIT = vec4f(1.0, 0x1p-8, 0x1p-16, 1.0);
const HIGH_UNIT = LOW_UNIT;

struct Block {
  low: array<vec4u, 4>,
  high: array<vec4u, 4>,
}

fn block_at(group: u32, block: u32) -> Block {
  let row = p.blocks * 2u;
  let at = group * 4u * row + block * 2u;
  return Block(
    array(w_values[at], w_values[at + row], w_values[at + 2u * row], w_values[at + 3u * row]),
    array(w_values[at + 1u], w_values[at + row + 1u], w_values[at + 2u * row + 1u], w_values[at + 3u * row + 1u]),
  );
}

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
