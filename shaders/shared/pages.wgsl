// What kernels read of a step's place: where a conversation's keys and values are, where its next rows go, and their rotations. Words: 0 the
// next token, 1 the position of the first new row, 2 tokens drawn so far, 3 the position of the rope table's first row, 4 the table's first
// word. From PAGES on the table of pages: of every 256 positions the page that holds them.
@group(0) @binding(next) var<storage, read> step: array<vec4u>;

const PAGE: u32 = 256u;
const PAGES: u32 = 64u;

fn step_word(i: u32) -> u32 {
  return step[i / 4u][i % 4u];
}

// The row of the cache that is a position's. Positions of a page are neighbours: one look-up serves a tile whose size divides PAGE.
fn kv_row(position: u32) -> u32 {
  return step_word(PAGES + position / PAGE) * PAGE + position % PAGE;
}
