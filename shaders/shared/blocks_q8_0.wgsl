// Blocks of four rows of a matrix in 8-bit integers.
@group(0) @binding($VALUES) var<storage, read> w_values: array<vec4u>; // [rows, blocks * 2]

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

