// Blocks of four rows of a matrix in 32-bit floats.
@group(0) @binding($VALUES) var<storage, read> w_values: array<vec4f>; // [rows, blocks * 8]

const LOW_UNIT = vec4f(1.0);
const HIGH_UNIT = vec4f(1.0);

struct Block {
  at: u32, // in the first row
  row: u32, // to the next row
}

fn block_at(group: u32, block: u32) -> Block {
  return Block((group * 4u * p.blocks + block) * 8u, p.blocks * 8u);
}

fn quads(w: Block, j: u32) -> mat4x4f {
  let at = w.at + j;
  return mat4x4f(w_values[at], w_values[at + w.row], w_values[at + 2u * w.row], w_values[at + 3u * w.row]);
}

//: each j 4
// Elements 4j .. 4j + 4, and 16 + 4j .. 16 + 4j + 4, of each row.
fn low_quads$j(w: Block) -> mat4x4f {
  return quads(w, $ju);
}

fn high_quads$j(w: Block) -> mat4x4f {
  return quads(w, $ju + 4u);
}

//: end
