// Index of vector `at` of a query in the layout for four lanes that share a key: each lane has a block of 2^log_loads vectors. Of every four blocks
// the first vectors are adjacent, then the second ones, and so on.
fn query_place(at: u32, log_loads: u32) -> u32 {
  let load = at & ((1u << log_loads) - 1u);
  let block = (at >> log_loads) & 3u;
  return (at & ~((4u << log_loads) - 1u)) | (load << 2u) | block;
}
