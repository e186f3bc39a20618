// y = x * w^T (+ bias) (+ y) for a few rows of x, normed first with NORM. An output tile is four outputs.
//: const FUSED_OUTPUTS=1
//: use $GEMV

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
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>; // [m, k4]
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // [m, y_stride], columns y_offset .. y_offset + n
@group(0) @binding(3) var<storage, read> bias: array<f32>; // [first_row + n ..]

fn group_of(tile: u32, output: u32) -> u32 {
  return tile;
}

fn write(row: u32, tile: u32, out: array<vec4f, FUSED_OUTPUTS>) {
  for (var i = 0u; i < 4u; i++) {
    let col = tile * 4u + i;
    if col < p.n {
      let at = row * p.y_stride + p.y_offset + col;
      var value = out[0][i];
      if (p.flags & 1u) != 0u {
        value += bias[p.first_row + col];
      }
      if (p.flags & 2u) != 0u {
        value += y[at];
      }
      y[at] = value;
    }
  }
}
