// y = x * w^T (+ bias) (+ y) for a few rows of x: a workgroup makes four outputs of one row, its lanes share the inputs.
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

var<workgroup> partial: array<vec4f, 64>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let col = (wg.y * groups.x + wg.x) * 4u;
  let row = wg.z;
  var acc = vec4f(0.0);
  // Weights are stored in whole groups of four rows, so the last group needs no check; past the last group there are none.
  if col < p.n {
    for (var k4 = lane; k4 < p.k4; k4 += 64u) {
      let v = x[row * p.k4 + k4];
      acc += vec4f(
        dot(v, weight4(col, k4, p.blocks)),
        dot(v, weight4(col + 1u, k4, p.blocks)),
        dot(v, weight4(col + 2u, k4, p.blocks)),
        dot(v, weight4(col + 3u, k4, p.blocks)),
      );
    }
  }
  partial[lane] = acc;
  for (var half = 32u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if lane < half {
      partial[lane] += partial[lane + half];
    }
  }
  workgroupBarrier();
  if lane < 4u && col + lane < p.n {
    let at = row * p.y_stride + p.y_offset + col + lane;
    var value = partial[0][lane];
    if (p.flags & 1u) != 0u {
      value += bias[p.first_row + col + lane];
    }
    if (p.flags & 2u) != 0u {
      value += y[at];
    }
    y[at] = value;
  }
}
