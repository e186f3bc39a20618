// A cache of keys and values in 32-bit floats.
@group(0) @binding(next) var<storage, read_write> k_cache: array<vec4f>; // [capacity, kv_heads, HEAD_DIM4]
@group(0) @binding(next) var<storage, read_write> v_cache: array<vec4f>; // [capacity, kv_heads, HEAD_DIM4]

fn store_key(at: u32, k: vec4f) {
  k_cache[at] = k;
}

fn store_value(at: u32, v: vec4f) {
  v_cache[at] = v;
}
