// Keys and values in 32-bit floats: a cache, or columns of a wider matrix.
//: const STAGED
@group(0) @binding(next) var<storage, read> k: array<vec4f>; // [kv_tokens, k_stride4]
@group(0) @binding(next) var<storage, read> v: array<vec4f>; // [kv_tokens, v_stride4]

// Numbers 4 * i .. 4 * i + 4 of all keys.
fn key4(i: u32) -> vec4f {
  return k[i];
}

fn value4(i: u32) -> vec4f {
  return v[i];
}
//: when STAGED

alias Packed = vec4f;

fn vector0(x: Packed) -> vec4f {
  return x;
}
//: end
