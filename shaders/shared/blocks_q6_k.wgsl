// Blocks of four rows of a Q6_K matrix: nibbles as in Q4_0; bits 2j and 2j + 1 of byte i of a row's tops are the upper two of
// element 4j + i in the first word, of 16 + 4j + i in the second.
@group(0) @binding($VALUES) var<storage, read> w_values: array<vec4u>; // [rows, blocks]
@group(0) @binding($TOPS) var<storage, read> w_tops: array<vec2u>; // [rows, blocks]

struct Block {
  rows: array<vec4u, 4>,
  tops: array<vec2u, 4>,
}

fn block_at(group: u32, block: u32) -> Block {
  let at = group * 4u * p.blocks + block;
  let row = p.blocks;
  return Block(
    array(w_values[at], w_values[at + row], w_values[at + 2u * row], w_values[at + 3u * row]),
    array(w_tops[at], w_tops[at + row], w_tops[at + 2u * row], w_tops[at + 3u * row]),
  );
}

