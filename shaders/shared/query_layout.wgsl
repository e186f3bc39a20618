// Where four numbers of a query lie, counted `at` as they are numbered, that four lanes multiply by a key which they share: each has a block of
// 2^log_loads times four numbers. Of every four blocks the first four numbers of each lie side by side, then the second four, and so on.
fn query_place(at: u32, log_loads: u32) -> u32 {
  let load = at & ((1u << log_loads) - 1u);
  let block = (at >> log_loads) & 3u;
  return (at & ~((4u << log_loads) - 1u)) | (load << 2u) | block;
}
