// What kernels read of a step's place: where a conversation's keys and values are, where its next rows go, and their rotations. Words: 0 the
// next token, 1 the position of the first new row, 2 tokens drawn so far, 3 the position of the rope table's first row, 4 the table's first
// word. Where each row is one of another conversation, whose words lie behind one another: 5 their vec4s, 6 splits of its attention. Else 5 is
// 0. From PAGES on the table of pages: of every 256 positions the page that holds them.
@group(0) @binding(next) var<storage, read> step: array<vec4u>;

const PAGE: u32 = 256u;
const PAGES: u32 = 64u;

fn step_word(i: u32) -> u32 {
  return step[i / 4u][i % 4u];
}

// The first vec4 of the words of a row's conversation.
fn words_of(row: u32) -> u32 {
  return row * step[1].y;
}

// The position of a row.
fn position_of(row: u32) -> u32 {
  return step[words_of(row)].y + select(row, 0u, step[1].y > 0u);
}

// The positions from x up to y that a workgroup takes, one of `splits` that share the attention of `m` rows: whole tiles. Rows of other
// conversations have their own number of splits.
fn span_of(words: u32, index: u32, m: u32, splits: u32, tile: u32) -> vec2u {
  let is_apart = step[1].y > 0u;
  let count = step[words].y + select(m, 1u, is_apart);
  let parts = select(splits, step[words + 1u].z, is_apart);
  let split = ((count + parts - 1u) / parts + tile - 1u) / tile * tile;
  let first = min(index * split, count);
  return vec2u(first, min(first + split, count));
}

// The row of the cache that is a position's, of the conversation with these words. Positions of a page are neighbours: one look-up serves a
// tile whose size divides PAGE.
fn kv_row_of(words: u32, position: u32) -> u32 {
  return step_word(4u * words + PAGES + position / PAGE) * PAGE + position % PAGE;
}

// The same, where there is only one.
fn kv_row(position: u32) -> u32 {
  return kv_row_of(0u, position);
}
