// x = x * sigmoid(gate), in place.
struct Params {
  len: u32,
  width: u32, // of a row of x
  stride: u32, // of a row of gates
  offset: u32, // of its first gate
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> x: array<f32>; // [rows, width]
@group(0) @binding(2) var<storage, read> gates: array<f32>; // [rows, stride]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (wg.y * groups.x + wg.x) * 64u + lane;
  if i < p.len {
    x[i] /= 1.0 + exp(-gates[i / p.width * p.stride + p.offset + i % p.width]);
  }
}
