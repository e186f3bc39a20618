// Stores the keys and values of new tokens behind those of earlier ones; a workgroup stores one head of one token.
// HEAD_DIM4, at most 64, comes from the host, the cache and `store` from a snippet.
struct Params {
  tokens: u32,
  kv_heads: u32,
  stride4: u32, // of a row of qkv
  k_offset4: u32, // of the keys in a row; the values follow them
  past: u32,
  padding0: u32,
  padding1: u32,
  padding2: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> qkv: array<vec4f>; // [tokens, stride4]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let head = wg.y * groups.x + wg.x; // among those of the new tokens
  if head >= p.tokens * p.kv_heads {
    return;
  }
  var k = vec4f(0.0);
  var v = vec4f(0.0);
  if lane < HEAD_DIM4 {
    let source = head / p.kv_heads * p.stride4 + p.k_offset4 + head % p.kv_heads * HEAD_DIM4 + lane;
    k = qkv[source];
    v = qkv[source + p.kv_heads * HEAD_DIM4];
  }
  store(p.past * p.kv_heads + head, lane, k, v);
}
