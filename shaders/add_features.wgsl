// Adds a deeper layer's features of a picture to its image tokens (DeepStack); rows of text tokens do not change.
struct Params {
  tokens: u32,
  width4: u32,
  offset: u32, // from the row that a token started from
}

const FEATURE: u32 = 0x80000000u; // set where the rest is a row of `features`

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> sources: array<u32>; // [tokens]
@group(0) @binding(2) var<storage, read> features: array<vec4f>; // [rows, width4]
@group(0) @binding(3) var<storage, read_write> x: array<vec4f>; // [tokens, width4]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (wg.y * groups.x + wg.x) * 64u + lane;
  if i >= p.tokens * p.width4 {
    return;
  }
  let source = sources[i / p.width4];
  if (source & FEATURE) != 0u {
    x[i] += features[((source & ~FEATURE) + p.offset) * p.width4 + i % p.width4];
  }
}
