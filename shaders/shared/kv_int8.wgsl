// A cache in 8-bit integers, four to a word, with a 16-bit scale to every head of every token.
@group(0) @binding(next) var<storage, read> k: array<u32>; // [kv_tokens, kv_heads, HEAD_DIM4]
@group(0) @binding(next) var<storage, read> v: array<u32>; // [kv_tokens, kv_heads, HEAD_DIM4]
@group(0) @binding(next) var<storage, read> scales: array<u32>; // [kv_tokens, kv_heads], f16 of the keys | f16 of the values

fn widened(four: u32) -> vec4f {
  let bytes = vec4u(four) << vec4u(24u, 16u, 8u, 0u);
  return vec4f(bitcast<vec4i>(bytes) >> vec4u(24u));
}

// Numbers 4 * i .. 4 * i + 4 of all keys.
fn key4(i: u32) -> vec4f {
  return widened(k[i]) * unpack2x16float(scales[i / HEAD_DIM4]).x;
}

fn value4(i: u32) -> vec4f {
  return widened(v[i]) * unpack2x16float(scales[i / HEAD_DIM4]).y;
}
