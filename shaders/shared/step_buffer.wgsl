// The step buffer: position, page table and rope table of a conversation. Words: 0 the next token, 1 the position of the first new row, 2 tokens
// drawn so far, 3 the position of the rope table's first row, 4 the first word of the rope table. If each row belongs to another conversation, the
// words of all conversations follow one another: 5 is then the number of vec4s of each (else 0), 6 the splits of its attention. The page table
// starts at PAGES: the page of every 256 positions.
@group(0) @binding(next) var<storage, read> step: array<vec4u>;

const PAGE: u32 = 256u;
const PAGES: u32 = 64u;

fn step_word(i: u32) -> u32 {
  return step[i / 4u][i % 4u];
}

// The first vec4 of a row's conversation.
fn words_of(row: u32) -> u32 {
  return row * step[1].y;
}

// The position of a row.
fn position_of(row: u32) -> u32 {
  return step[words_of(row)].y + select(row, 0u, step[1].y > 0u);
}

// Half-open range of positions of workgroup `index` of `splits`, which share the attention of `m` rows: whole tiles. Rows of different
// conversations each have their own number of splits.
fn span_of(words: u32, index: u32, m: u32, splits: u32, tile: u32) -> vec2u {
  let is_apart = step[1].y > 0u;
  let count = step[words].y + select(m, 1u, is_apart);
  let parts = select(splits, step[words + 1u].z, is_apart);
  let split = ((count + parts - 1u) / parts + tile - 1u) / tile * tile;
  let first = min(index * split, count);
  return vec2u(first, min(first + split, count));
}

// Cache row of a position, in the conversation that starts at `words`. Positions of a page are adjacent, so one look-up serves a tile whose size
// divides PAGE.
fn kv_row_of(words: u32, position: u32) -> u32 {
  return step_word(4u * words + PAGES + position / PAGE) * PAGE + position % PAGE;
}

// Cache row of a position of a batch with one conversation.
fn kv_row(position: u32) -> u32 {
  return kv_row_of(0u, position);
}
