// A cache in 16-bit floats, two to a word, so that no device needs shader-f16. With STAGED, a load is of two vectors of four numbers.
//: const STAGED
//: when STAGED
alias Packed = vec4u;
//: else
alias Packed = vec2u;
//: end

@group(0) @binding(next) var<storage, read> k: array<Packed>; // [kv_tokens, k_stride4]
@group(0) @binding(next) var<storage, read> v: array<Packed>; // [kv_tokens, v_stride4]

fn widened(four: vec2u) -> vec4f {
  return vec4f(unpack2x16float(four.x), unpack2x16float(four.y));
}
//: when STAGED

fn vector0(x: Packed) -> vec4f {
  return widened(x.xy);
}

fn vector1(x: Packed) -> vec4f {
  return widened(x.zw);
}
//: else

// Numbers 4 * i .. 4 * i + 4 of all keys.
fn key4(i: u32) -> vec4f {
  return widened(k[i]);
}

fn value4(i: u32) -> vec4f {
  return widened(v[i]);
}
//: end
