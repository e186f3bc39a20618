// y = act(gate) * factors, where the factors of a row are some columns of a wider one.
//: use activations lane_layout

struct Params {
  rows: u32,
  width: u32, // of the gate
  activation: u32,
  stride: u32, // of a row of factors
  offset: u32, // of the first factor
  lane_layout: u32, // of a row of y, see `lane_place`
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> gate: array<f32>; // [rows, width]
@group(0) @binding(2) var<storage, read> factors: array<f32>; // [rows, stride]
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // [rows, width]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (wg.y * groups.x + wg.x) * 64u + lane;
  if i >= p.rows * p.width {
    return;
  }
  let at = i / p.width * p.stride + p.offset + i % p.width;
  y[4u * lane_place(i / 4u, p.lane_layout) + i % 4u] = activate(p.activation, gate[i]) * factors[at];
}
