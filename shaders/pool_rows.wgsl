// The means of runs of rows, as they are or normed without a weight: y = mean / sqrt(mean(mean^2) + eps). One workgroup a run.
struct Params {
  width4: u32,
  count: u32, // rows of a run
  eps: f32,
  normed: u32, // 0: the means as they are
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>; // [runs * count, width4]
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>; // [runs, width4]

var<workgroup> squares: array<f32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let first = wg.x * p.width4;
  var sum = 0.0;
  for (var i = lane; i < p.width4; i += 64u) {
    var total = vec4f(0.0);
    for (var row = 0u; row < p.count; row++) {
      total += x[(wg.x * p.count + row) * p.width4 + i];
    }
    total /= f32(p.count);
    sum += dot(total, total);
    y[first + i] = total;
  }
  squares[lane] = sum;
  for (var half = 32u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if lane < half {
      squares[lane] += squares[lane + half];
    }
  }
  workgroupBarrier();
  let scale = select(1.0, 1.0 / sqrt(squares[0] / f32(p.width4 * 4u) + p.eps), p.normed == 1u);
  for (var i = lane; i < p.width4; i += 64u) {
    y[first + i] *= scale;
  }
}
