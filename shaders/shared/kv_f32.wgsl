// Keys and values in 32-bit floats: a cache, or columns of a wider matrix.
//: const WIDE_KEYS WIDE_VALUES
alias Packed = vec4f;

@group(0) @binding(next) var<storage, read> k: array<Packed>; // [kv_tokens, k_stride4]
@group(0) @binding(next) var<storage, read> v: array<Packed>; // [kv_tokens, v_stride4]

fn widened(four: vec4f) -> vec4f {
  return four;
}

fn vector0(x: Packed) -> vec4f {
  return x;
}

// A load of 16 bytes has only one vector.
fn next_vectors(x: Packed) -> Packed {
  return x;
}

// Numbers 4 * i .. 4 * i + 4 of all keys.
fn key4(i: u32) -> vec4f {
  return k[i];
}

fn value4(i: u32) -> vec4f {
  return v[i];
}
