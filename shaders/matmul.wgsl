// y = x * w^T (+ bias) (+ y): a tile of 32 x 64 outputs a workgroup, 4 x 4 a thread, 32 inputs at a time through workgroup memory.
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
@group(0) @binding(1) var<storage, read> x: array<vec4f>; // [m, k4]
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // [m, y_stride], columns y_offset .. y_offset + n
@group(0) @binding(3) var<storage, read> bias: array<f32>; // [first_row + n ..]

const TILE_M: u32 = 32u;
const TILE_N: u32 = 64u;
const TILE_K4: u32 = 8u;

var<workgroup> x_tile: array<vec4f, 256>; // [TILE_K4, TILE_M]
var<workgroup> w_tile: array<vec4f, 512>; // [TILE_K4, TILE_N]

fn load_tiles(m0: u32, n0: u32, k0: u32, thread: u32) {
  for (var i = thread; i < TILE_M * TILE_K4; i += 128u) {
    let row = m0 + i / TILE_K4;
    let k4 = k0 + i % TILE_K4;
    var v = vec4f(0.0);
    if row < p.m && k4 < p.k4 {
      v = x[row * p.k4 + k4];
    }
    x_tile[(i % TILE_K4) * TILE_M + i / TILE_K4] = v;
  }
  for (var i = thread; i < TILE_N * TILE_K4; i += 128u) {
    let row = n0 + i / TILE_K4;
    var v = vec4f(0.0);
    if row < p.n {
      v = weight4(row, k0 + i % TILE_K4, p.blocks);
    }
    w_tile[(i % TILE_K4) * TILE_N + i / TILE_K4] = v;
  }
}

@compute @workgroup_size(16, 8)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_id) id: vec3u) {
  let n0 = wg.x * TILE_N;
  let m0 = wg.y * TILE_M;
  let thread = id.y * 16u + id.x;
  // acc[i][j] belongs to row m0 + 4 * id.y + i, column n0 + id.x + 16 * j.
  var acc = array<vec4f, 4>();
  for (var block = 0u; block < p.blocks; block++) {
    load_tiles(m0, n0, block * TILE_K4, thread);
    workgroupBarrier();
    for (var k = 0u; k < TILE_K4; k++) {
      let w_at = k * TILE_N + id.x;
      let w0 = w_tile[w_at];
      let w1 = w_tile[w_at + 16u];
      let w2 = w_tile[w_at + 32u];
      let w3 = w_tile[w_at + 48u];
      let x_at = k * TILE_M + id.y * 4u;
      let x0 = x_tile[x_at];
      let x1 = x_tile[x_at + 1u];
      let x2 = x_tile[x_at + 2u];
      let x3 = x_tile[x_at + 3u];
      acc[0] += vec4f(dot(x0, w0), dot(x0, w1), dot(x0, w2), dot(x0, w3));
      acc[1] += vec4f(dot(x1, w0), dot(x1, w1), dot(x1, w2), dot(x1, w3));
      acc[2] += vec4f(dot(x2, w0), dot(x2, w1), dot(x2, w2), dot(x2, w3));
      acc[3] += vec4f(dot(x3, w0), dot(x3, w1), dot(x3, w2), dot(x3, w3));
    }
    workgroupBarrier();
  }
  for (var i = 0u; i < 4u; i++) {
    let row = m0 + id.y * 4u + i;
    for (var j = 0u; j < 4u; j++) {
      let col = n0 + id.x + 16u * j;
      if row < p.m && col < p.n {
        store(row, col, acc[i][j]);
      }
    }
  }
}

fn store(row: u32, col: u32, product: f32) {
  let at = row * p.y_stride + p.y_offset + col;
  var value = product;
  if (p.flags & 1u) != 0u {
    value += bias[p.first_row + col];
  }
  if (p.flags & 2u) != 0u {
    value += y[at];
  }
  y[at] = value;
}
