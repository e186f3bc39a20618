// Copies the keys and values of new tokens behind those of earlier ones.
struct Params {
  tokens: u32,
  width4: u32, // kv_heads * head_dim / 4
  stride4: u32, // of a row of qkv
  k_offset4: u32, // of the keys in a row; the values follow them
  past: u32,
  padding0: u32,
  padding1: u32,
  padding2: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> qkv: array<vec4f>; // [tokens, stride4]
@group(0) @binding(2) var<storage, read_write> k_cache: array<vec4f>; // [capacity, width4]
@group(0) @binding(3) var<storage, read_write> v_cache: array<vec4f>; // [capacity, width4]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (wg.y * groups.x + wg.x) * 64u + lane;
  if i >= p.tokens * p.width4 {
    return;
  }
  let source = i / p.width4 * p.stride4 + p.k_offset4 + i % p.width4;
  let slot = p.past * p.width4 + i;
  k_cache[slot] = qkv[source];
  v_cache[slot] = qkv[source + p.width4];
}
