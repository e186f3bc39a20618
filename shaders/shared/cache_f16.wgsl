// A cache of keys and values in 16-bit floats, two to a word.
//: use round_f16

@group(0) @binding(next) var<storage, read_write> k_cache: array<vec2u>; // [capacity, kv_heads, HEAD_DIM4]
@group(0) @binding(next) var<storage, read_write> v_cache: array<vec2u>; // [capacity, kv_heads, HEAD_DIM4]

fn narrowed(x: vec4f) -> vec2u {
  let four = round_f16(x);
  return vec2u(pack2x16float(four.xy), pack2x16float(four.zw));
}

fn store_key(at: u32, k: vec4f) {
  k_cache[at] = narrowed(k);
}

fn store_value(at: u32, v: vec4f) {
  v_cache[at] = narrowed(v);
}
