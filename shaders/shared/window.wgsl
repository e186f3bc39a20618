// Positions of a step's attention whose rows see a window of keys.

// `span_of` without the tiles before the first visible key of the first row.
fn span_of_window(words: u32, index: u32, m: u32, splits: u32, window: u32, tile: u32) -> vec2u {
  let is_apart = step[1].y > 0u;
  let count = step[words].y + select(m, 1u, is_apart);
  let begin = (max(step[words].y + 1u, window) - window) / tile * tile;
  // A conversation shorter than the others may have fewer splits.
  let parts = select(splits, min(splits, step[words + 1u].z), is_apart);
  let split = ((count - begin + parts - 1u) / parts + tile - 1u) / tile * tile;
  let first = min(begin + index * split, count);
  return vec2u(first, min(first + split, count));
}
