// y = x * w^T (+ bias) (+ y) for a few rows of x, normed first with NORM. An output tile is four outputs.
//: const FUSED_OUTPUTS=1
//: use matrix_outputs $GEMV

struct Params {
  m: u32,
  n: u32,
  k4: u32, // inputs / 4
  blocks: u32,
  tiles: u32, // groups of four rows
  eps: f32,
  y_stride: u32,
  y_offset: u32,
  flags: u32, // 1: add the bias, 2: add to what y holds
  first_row: u32, // of the whole matrix, where w is a part of it
  y_layout: u32, // of a row of y, see `lane_place`
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>; // [m, k4]

fn group_of(tile: u32, output: u32) -> u32 {
  return tile;
}

fn write(row: u32, tile: u32, out: array<vec4f, FUSED_OUTPUTS>) {
  let at = row * p.y_stride + p.y_offset + tile * 4u;
  // The columns of rows in the natural layout may start anywhere.
  store(select(4u * lane_place(at / 4u, p.y_layout), at, p.y_layout == 0u), tile * 4u, out[0]);
}
