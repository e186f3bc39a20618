// Parameters, inputs and outputs of y = x * w^T (+ bias) (+ y) for many rows of x. With RAGGED, the last block of 32 inputs extends past the row.
// With K_TILE, a workgroup stages that many rounded blocks of its rows in workgroup memory.
//: const THREADS INPUTS ROWS GROUPS RAGGED K_TILE?=0
//: use matrix_outputs

struct Params {
  m: u32,
  n: u32,
  k4: u32, // inputs / 4
  blocks: u32,
  y_stride: u32,
  y_offset: u32,
  flags: u32, // 1: add the bias, 2: add to what y holds
  first_row: u32, // of the whole matrix, where w is a part of it
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec$INPUTSf>; // [m, k4 * 4 / INPUTS]

// Vector `at` of INPUTS inputs of the row that begins at `row`.
fn input(row: u32, at: u32) -> vec$INPUTSf {
  let width = p.k4 * (4u / INPUTS); //: when RAGGED
  return select(vec$INPUTSf(), x[row + min(at, width - 1u)], at < width); //: when RAGGED
  return x[row + at]; //: unless RAGGED
}

// Stores four columns of a row.
fn store_group(row: u32, group: u32, products: vec4f) {
  if row < p.m {
    store(row * p.y_stride + p.y_offset + group * 4u, group * 4u, products);
  }
}

// Stores a thread's rows from `row0` on, in groups of four columns that are THREADS groups apart.
fn store_tile(row0: u32, first_group: u32, tile: array<vec4f, ROWS * GROUPS>) {
  var all = tile;
  for (var i = 0u; i < ROWS * GROUPS; i++) {
    store_group(row0 + i / GROUPS, first_group + i % GROUPS * THREADS, all[i]);
  }
}
//: when K_TILE

// Stages `count` blocks of a workgroup's rows from block `first` on with `stage_block`.
fn stage_rows(row0: u32, first: u32, count: u32, thread: u32) {
  // No thread still reads the previous blocks.
  workgroupBarrier();
  for (var i = thread; i < ROWS * count; i += THREADS) {
    stage_block(i / count * K_TILE + i % count, min(row0 + i / count, p.m - 1u) * p.k4, first + i % count);
  }
  workgroupBarrier();
}
//: end
