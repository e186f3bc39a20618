// Gathers each square of merge x merge patches into one row: channel slowest, then row, then column (torch's unfold).
struct Params {
  tokens: u32, // to make
  columns: u32, // merged tokens in a row of the picture
  merge: u32,
  channels: u32,
  first: u32, // token to begin with
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>; // [patches, channels]
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // [tokens, channels * merge * merge]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (wg.y * groups.x + wg.x) * 64u + lane;
  let square = p.merge * p.merge;
  if i >= p.tokens * p.channels * square {
    return;
  }
  let token = p.first + i / (p.channels * square);
  let channel = i / square % p.channels;
  let row = token / p.columns * p.merge + i % square / p.merge;
  let column = token % p.columns * p.merge + i % p.merge;
  y[i] = x[(row * p.columns * p.merge + column) * p.channels + channel];
}
