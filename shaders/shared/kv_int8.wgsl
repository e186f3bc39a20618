// A cache in 8-bit integers, four to a word, with a 16-bit scale to every head of every token. With STAGED, a load is of four vectors of four
// numbers, without their scales.
//: const STAGED
//: when STAGED
alias Packed = vec4u;
//: else
alias Packed = u32;
//: end

@group(0) @binding(next) var<storage, read> k: array<Packed>; // [kv_tokens, kv_heads, HEAD_DIM4]
@group(0) @binding(next) var<storage, read> v: array<Packed>; // [kv_tokens, kv_heads, HEAD_DIM4]
@group(0) @binding(next) var<storage, read> scales: array<u32>; // [kv_tokens, kv_heads], f16 of the keys | f16 of the values

fn widened(four: u32) -> vec4f {
  let bytes = vec4u(four) << vec4u(24u, 16u, 8u, 0u);
  return vec4f(bitcast<vec4i>(bytes) >> vec4u(24u));
}

// What the keys and the values of a head of a token are multiplied by.
fn scales_of(head: u32) -> vec2f {
  return unpack2x16float(scales[head]);
}
//: when STAGED

//: each v 4
fn vector$v(x: Packed) -> vec4f {
  return widened(x[$v]);
}
//: end
//: else

// Numbers 4 * i .. 4 * i + 4 of all keys.
fn key4(i: u32) -> vec4f {
  return widened(k[i]) * scales_of(i / HEAD_DIM4).x;
}

fn value4(i: u32) -> vec4f {
  return widened(v[i]) * scales_of(i / HEAD_DIM4).y;
}
//: end
