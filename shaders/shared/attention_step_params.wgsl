// Parameters, queries, outputs and positions of an attention of a step.
//: const WINDOWED CAPPED
struct Params {
  m: u32,
  group: u32, // query heads a key-value head
  kv_heads: u32,
  splits: u32,
  scale: f32,
  q_stride4: u32,
  q_offset4: u32,
  gate_offset4: u32,
  lane_layout: u32, // of a token's results, see `lane_place`
  window: u32, //: when WINDOWED // keys that a row sees, its own included
  squash: f32, //: when CAPPED // scale of scores / soft cap; `scale` is then that of their tanh
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4f>; // [m, q_stride4]
@group(0) @binding(2) var<storage, read_write> out: array<vec4f>; // [m, q_heads, HEAD_DIM4], or [splits, m, q_heads, HEAD_DIM4 + 1]

// Clamps a position to the last one, if a turn takes several positions.
fn within(position: u32, count: u32) -> u32 {
  return select(position, min(position, count - 1u), UNROLL * VALUE_GROUPS > 1u);
}
