// Rotates the pairs of every query and key head by the table's angles, in place; scales the queries by position.
struct Params {
  tokens: u32,
  heads: u32, // query and key heads together, side by side in a row
  q_heads: u32,
  pairs: u32, // head_dim / 2
  stride: u32, // of a row of qkv
  interleaved: u32, // 1: lanes 2j and 2j + 1 form a pair; 0: lanes j and j + pairs
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> qkv: array<f32>; // [tokens, stride]
@group(0) @binding(2) var<storage, read> angles: array<vec2f>; // [tokens, pairs], (cos, sin)
@group(0) @binding(3) var<storage, read> q_scale: array<f32>; // [tokens]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (wg.y * groups.x + wg.x) * 64u + lane;
  if i >= p.tokens * p.heads * p.pairs {
    return;
  }
  let pair = i % p.pairs;
  let head = i / p.pairs % p.heads;
  let token = i / (p.pairs * p.heads);
  let first = token * p.stride + head * p.pairs * 2u;
  let a_at = first + select(pair, 2u * pair, p.interleaved == 1u);
  let b_at = a_at + select(p.pairs, 1u, p.interleaved == 1u);
  let angle = angles[token * p.pairs + pair] * select(1.0, q_scale[token], head < p.q_heads);
  let a = qkv[a_at];
  let b = qkv[b_at];
  qkv[a_at] = a * angle.x - b * angle.y;
  qkv[b_at] = b * angle.x + a * angle.y;
}
