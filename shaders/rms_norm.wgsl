// y = x / sqrt(mean(x^2) + eps) * weight, one workgroup a row.
struct Params {
  width4: u32,
  eps: f32,
  padding0: u32,
  padding1: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>; // [rows, width4]
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>; // [rows, width4]
@group(0) @binding(3) var<storage, read> weight: array<vec4f>; // [width4]

var<workgroup> partial: array<f32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let first = wg.x * p.width4;
  var sum = 0.0;
  for (var i = lane; i < p.width4; i += 64u) {
    let v = x[first + i];
    sum += dot(v, v);
  }
  partial[lane] = sum;
  for (var half = 32u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if lane < half {
      partial[lane] += partial[lane + half];
    }
  }
  workgroupBarrier();
  let scale = 1.0 / sqrt(partial[0] / f32(p.width4 * 4u) + p.eps);
  for (var i = lane; i < p.width4; i += 64u) {
    y[first + i] = x[first + i] * scale * weight[i];
  }
}
