// A cache in 16-bit floats, two to a word.
@group(0) @binding(2) var<storage, read_write> k_cache: array<vec2u>; // [capacity, kv_heads, HEAD_DIM4]
@group(0) @binding(3) var<storage, read_write> v_cache: array<vec2u>; // [capacity, kv_heads, HEAD_DIM4]

fn narrowed(x: vec4f) -> vec2u {
  let four = half4(x);
  return vec2u(pack2x16float(four.xy), pack2x16float(four.zw));
}

// Stores four numbers of a head, counted over all tokens; lanes past its width have none. All lanes of the workgroup call this.
fn store(head: u32, lane: u32, k: vec4f, v: vec4f) {
  if lane < HEAD_DIM4 {
    k_cache[head * HEAD_DIM4 + lane] = narrowed(k);
    v_cache[head * HEAD_DIM4 + lane] = narrowed(v);
  }
}
