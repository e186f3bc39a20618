// Splits rows into heads: queries into rows of their own, keys and values into contiguous buffers in the precision of the attention. With ROTATED,
// queries and keys are rotated by the table's angles. With NORM, heads are normed first, values without a weight. A thread copies four numbers of
// either half of a head: both numbers of every pair.
//: const ROTATED NORM
//: use $CACHE

struct Params {
  tokens: u32,
  heads: u32, // of a row: queries, keys, values
  q_heads: u32,
  kv_heads: u32,
  half_dim4: u32,
  stride4: u32, // of a row of x
  interleaved: u32, // 1: numbers 2j and 2j + 1 form a pair; 0: numbers j and j + head_dim / 2
  eps: f32, //: when NORM
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>; // [tokens, stride4]
@group(0) @binding(2) var<storage, read_write> q: array<vec4f>; // [tokens, q_heads, head_dim4]
@group(0) @binding(next) var<storage, read> angles: array<vec4f>; //: when ROTATED // [tokens, 2, half_dim4]
@group(0) @binding(next) var<storage, read> q_gain: array<vec4f>; //: when NORM // [head_dim4]
@group(0) @binding(next) var<storage, read> k_gain: array<vec4f>; //: when NORM // [head_dim4]
//: when ROTATED

// Rotates two pairs by (cos, sin) of each.
fn turned(pairs: vec4f, angle: vec4f) -> vec4f {
  return pairs * angle.xxzz + vec4f(-pairs.y, pairs.x, -pairs.w, pairs.z) * angle.yyww;
}
//: end

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (wg.y * groups.x + wg.x) * 64u + lane;
  if i >= p.tokens * p.heads * p.half_dim4 {
    return;
  }
  let vector = i % p.half_dim4;
  let head = i / p.half_dim4 % p.heads;
  let token = i / (p.half_dim4 * p.heads);
  let first = token * p.stride4 + head * p.half_dim4 * 2u + vector;
  let keys = p.q_heads + p.kv_heads;
  var a = x[first];
  var b = x[first + p.half_dim4];
//: when NORM
  var sum = 0.0;
  for (var d = 0u; d < p.half_dim4 * 2u; d++) {
    let numbers = x[first - vector + d];
    sum += dot(numbers, numbers);
  }
  let scale = 1.0 / sqrt(sum / f32(p.half_dim4 * 8u) + p.eps);
  a *= scale;
  b *= scale;
  if head < keys {
    a *= select(k_gain[vector], q_gain[vector], head < p.q_heads);
    b *= select(k_gain[vector + p.half_dim4], q_gain[vector + p.half_dim4], head < p.q_heads);
  }
//: end
//: when ROTATED
  if head < keys {
    let of_a = angles[token * p.half_dim4 * 2u + vector];
    let of_b = angles[token * p.half_dim4 * 2u + vector + p.half_dim4];
    if p.interleaved == 1u {
      a = turned(a, of_a);
      b = turned(b, of_b);
    } else {
      let before = a;
      a = before * of_a - b * of_b;
      b = b * of_a + before * of_b;
    }
  }
//: end
  if head < p.q_heads {
    let at = (token * p.q_heads + head) * p.half_dim4 * 2u + vector;
    q[at] = a;
    q[at + p.half_dim4] = b;
    return;
  }
  let at = (token * p.kv_heads + select(head - keys, head - p.q_heads, head < keys)) * p.half_dim4 * 2u + vector;
  if head < keys {
    store_key(at, a);
    store_key(at + p.half_dim4, b);
  } else {
    store_value(at, a);
    store_value(at + p.half_dim4, b);
  }
}
