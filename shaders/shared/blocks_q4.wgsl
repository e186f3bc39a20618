// Blocks of four rows of a matrix in 4-bit integers: word j holds elements 4j .. 4j + 4 in its low nibbles and elements
// 16 + 4j .. 16 + 4j + 4 in its high ones.
@group(0) @binding($VALUES) var<storage, read> w_values: array<vec4u>; // [rows, blocks]

struct Block {
  rows: array<vec4u, 4>,
}

fn block_at(group: u32, block: u32) -> Block {
  let at = group * 4u * p.blocks + block;
  return Block(array(w_values[at], w_values[at + p.blocks], w_values[at + 2u * p.blocks], w_values[at + 3u * p.blocks]));
}

