// Index of vector `at` of a row in the lane layout that matvec kernels read: of every 2^log_blocks blocks of 32 numbers, the first vectors of all
// blocks are adjacent, then the second ones, and so on.
fn lane_place(at: u32, log_blocks: u32) -> u32 {
  let within = (8u << log_blocks) - 1u;
  return (at & ~within) | ((at & 7u) << log_blocks) | ((at & within) >> 3u);
}
