// A cache in 16-bit floats, two to a word, so that no device needs shader-f16. With WIDE_KEYS and WIDE_VALUES, a load is of two
// vectors of four numbers.
//: const WIDE_KEYS WIDE_VALUES
alias Packed = vec4u;

@group(0) @binding(next) var<storage, read> k: array<Packed>; //: when WIDE_KEYS // [kv_tokens, k_stride4]
@group(0) @binding(next) var<storage, read> k: array<vec2u>; //: unless WIDE_KEYS // [kv_tokens, k_stride4]
@group(0) @binding(next) var<storage, read> v: array<Packed>; //: when WIDE_VALUES // [kv_tokens, v_stride4]
@group(0) @binding(next) var<storage, read> v: array<vec2u>; //: unless WIDE_VALUES // [kv_tokens, v_stride4]

fn widened(four: vec2u) -> vec4f {
  return vec4f(unpack2x16float(four.x), unpack2x16float(four.y));
}

fn vector0(x: Packed) -> vec4f {
  return widened(x.xy);
}

// Moves the next vector of a load to the first place.
fn next_vectors(x: Packed) -> Packed {
  return x.zwzw;
}

fn vector1(x: Packed) -> vec4f {
  return widened(x.zw);
}
//: unless WIDE_KEYS

// Numbers 4 * i .. 4 * i + 4 of all keys.
fn key4(i: u32) -> vec4f {
  return widened(k[i]);
}
//: end
//: unless WIDE_VALUES

fn value4(i: u32) -> vec4f {
  return widened(v[i]);
}
//: end
