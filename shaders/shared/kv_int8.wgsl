// A cache in 8-bit integers, four to a word, with a 16-bit scale to every head of every token. With WIDE_KEYS and WIDE_VALUES, a load is of four
// vectors of four numbers.
//: const WIDE_KEYS WIDE_VALUES
alias Packed = vec4u;

@group(0) @binding(next) var<storage, read> k: array<Packed>; //: when WIDE_KEYS // [kv_tokens, kv_heads, HEAD_DIM4]
@group(0) @binding(next) var<storage, read> k: array<u32>; //: unless WIDE_KEYS // [kv_tokens, kv_heads, HEAD_DIM4]
@group(0) @binding(next) var<storage, read> v: array<Packed>; //: when WIDE_VALUES // [kv_tokens, kv_heads, HEAD_DIM4]
@group(0) @binding(next) var<storage, read> v: array<u32>; //: unless WIDE_VALUES // [kv_tokens, kv_heads, HEAD_DIM4]
@group(0) @binding(next) var<storage, read> scales: array<u32>; // [pages, kv_heads, PAGE], f16 of the keys | f16 of the values

fn widened(four: u32) -> vec4f {
  let bytes = vec4u(four) << vec4u(24u, 16u, 8u, 0u);
  return vec4f(bitcast<vec4i>(bytes) >> vec4u(24u));
}

//: each v 4
fn vector$v(x: Packed) -> vec4f {
  return widened(x[$v]);
}

//: end
// Moves the next vector of a load to the first place.
fn next_vectors(x: Packed) -> Packed {
  return x.yzww;
}

// Scales of a head's keys and values in a cache row.
fn scales_of(row: u32, kv_head: u32, kv_heads: u32) -> vec2f {
  return unpack2x16float(scales[(row / PAGE * kv_heads + kv_head) * PAGE + row % PAGE]);
}
//: unless WIDE_KEYS

// Numbers 4 * i .. 4 * i + 4 of all keys, without their scale.
fn key4(i: u32) -> vec4f {
  return widened(k[i]);
}
//: end
//: unless WIDE_VALUES

fn value4(i: u32) -> vec4f {
  return widened(v[i]);
}
//: end
