// A soft cap in place: x = cap * tanh(x / cap). NaN and infinities stay, for the sampler to find.
struct Params {
  len: u32,
  cap: f32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> x: array<u32>; // [len], as words: arithmetic may assume that there is no NaN

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (wg.y * groups.x + wg.x) * 64u + lane;
  if i >= p.len || (x[i] & 0x7f800000u) == 0x7f800000u {
    return;
  }
  // The bounds keep tanh finite on devices that compute it from exp.
  x[i] = bitcast<u32>(p.cap * tanh(clamp(bitcast<f32>(x[i]) / p.cap, -15.0, 15.0)));
}
