// y = (x - mean) / sqrt(variance + eps) * weight + bias, one workgroup a row. Squares are of differences from the mean, which avoids cancellation.
struct Params {
  width4: u32,
  eps: f32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>; // [rows, width4]
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>; // [rows, width4]
@group(0) @binding(3) var<storage, read> weight: array<vec4f>; // [width4]
@group(0) @binding(4) var<storage, read> bias: array<vec4f>; // [width4]

const THREADS: u32 = 64u;

var<workgroup> partial: array<f32, THREADS>;

// Sum over all threads.
fn total(thread: u32, own: f32) -> f32 {
  // All threads have read the previous total.
  workgroupBarrier();
  partial[thread] = own;
  for (var half = THREADS / 2u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if thread < half {
      partial[thread] += partial[thread + half];
    }
  }
  workgroupBarrier();
  return partial[0];
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) thread: u32) {
  let first = wg.x * p.width4;
  let width = f32(p.width4 * 4u);
  var sum = 0.0;
  for (var i = thread; i < p.width4; i += THREADS) {
    sum += dot(x[first + i], vec4f(1.0));
  }
  let mean = total(thread, sum) / width;
  var squares = 0.0;
  for (var i = thread; i < p.width4; i += THREADS) {
    let v = x[first + i] - mean;
    squares += dot(v, v);
  }
  let scale = 1.0 / sqrt(total(thread, squares) / width + p.eps);
  for (var i = thread; i < p.width4; i += THREADS) {
    y[first + i] = (x[first + i] - mean) * scale * weight[i] + bias[i];
  }
}
