// Parameters, queries and outputs of an attention over all keys and values at once.
//: const WINDOWED CAPPED
struct Params {
  q_tokens: u32,
  kv_tokens: u32,
  group: u32, // query heads a key-value head
  past: u32, // position of the first query
  causal: u32,
  scale: f32, // of scores, whose powers are of e, or of 2 where keys are staged
  q_stride4: u32,
  q_offset4: u32,
  k_stride4: u32,
  k_offset4: u32,
  v_stride4: u32,
  v_offset4: u32,
  out_stride4: u32,
  gate_offset4: u32,
  window: u32, //: when WINDOWED // keys that a causal row sees, its own included
  squash: f32, //: when CAPPED // scale of scores / soft cap; `scale` is then that of their tanh
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4f>; // [q_tokens, q_stride4]
@group(0) @binding(2) var<storage, read_write> out: array<vec4f>; // [q_tokens, out_stride4]

const HIDDEN: f32 = -1e30;
