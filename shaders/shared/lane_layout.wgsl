// Where four numbers of a row lie that is in order for the lanes of a product of few rows: `at` counts them as they are numbered. Of every
// 2^log_blocks blocks of 32 numbers, the first four of each lie side by side, then the second four, and so on.
fn lane_place(at: u32, log_blocks: u32) -> u32 {
  let within = (8u << log_blocks) - 1u;
  return (at & ~within) | ((at & 7u) << log_blocks) | ((at & within) >> 3u);
}
