// The gate of a gated feed-forward: y = act(gate) * up.
//: use activations lane_layout

struct Params {
  rows: u32,
  width: u32, // of the gate, and of up
  activation: u32,
  lane_layout: u32, // of a row of y, see `lane_place`
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> gate_up: array<f32>; // [rows, 2 * width], gate first
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // [rows, width]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (wg.y * groups.x + wg.x) * 64u + lane;
  if i >= p.rows * p.width {
    return;
  }
  let at = i / p.width * p.width + i;
  y[4u * lane_place(i / 4u, p.lane_layout) + i % 4u] = activate(p.activation, gate_up[at]) * gate_up[at + p.width];
}
