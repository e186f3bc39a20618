// Clamps some columns of rows between two numbers, in place.
struct Params {
  rows: u32,
  width: u32, // columns that are clamped
  stride: u32, // of a row
  offset: u32, // of the first column
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> x: array<f32>; // [rows, stride]
@group(0) @binding(2) var<storage, read> low: array<f32>; // [1]
@group(0) @binding(3) var<storage, read> high: array<f32>; // [1]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (wg.y * groups.x + wg.x) * 64u + lane;
  if i >= p.rows * p.width {
    return;
  }
  let at = i / p.width * p.stride + p.offset + i % p.width;
  x[at] = min(max(x[at], low[0]), high[0]);
}
