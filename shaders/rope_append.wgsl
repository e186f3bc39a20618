// Rotates the query and key heads of new tokens by the table's angles and scales the queries, in place; rotated keys and the values are appended to
// the cache at the step's position. A workgroup computes one head of one token: a query head, or a key head with its values. A lane stores LOADS
// vectors of a head. With NORM, queries and keys are normed first. With VALUES_NORMED, so are values, without a weight; with VALUES_ARE_KEYS, these are
// keys before weight and rotation. With SHARED_SCALE, the cache stores whole heads. With ROPES, the table has that many rows for each position, one
// for each rope.
//: const HEAD_DIM4 LOADS SHARED_SCALE NORM VALUES_NORMED VALUES_ARE_KEYS ROPES
//: use $CACHE step_buffer query_layout

struct Params {
  tokens: u32,
  q_heads: u32,
  kv_heads: u32,
  stride4: u32, // of a row of qkv
  apart: u32, // the lanes of the first pairs, of which there are as many; those of further pairs are neighbours
  eps: f32, // of the norms
  q_layout: u32, // of a query, see `query_place`
  rope: u32, //: when ROPES // which of them
  rope_words: u32, //: when ROPES // of a row of the table
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> qkv: array<vec4f>; // [tokens, stride4]: queries, keys, values
@group(0) @binding(next) var<storage, read> q_gain: array<f32>; //: when NORM // [HEAD_DIM]
@group(0) @binding(next) var<storage, read> k_gain: array<f32>; //: when NORM // [HEAD_DIM]

const HEAD_DIM: u32 = 4u * HEAD_DIM4;

// Scalars, because neighbouring threads write different numbers of the same vector.
var<workgroup> rotated: array<f32, HEAD_DIM>;
//: when NORM
var<workgroup> squares: array<f32, 64>;

// The reciprocal root mean square of a head whose first vector is at `first`. All lanes of the workgroup call this.
fn inverse_rms(first: u32, lane: u32) -> f32 {
  var sum = 0.0;
//: each n LOADS
  if lane + $nu * 64u < HEAD_DIM4 {
    sum += dot(qkv[first + lane + $nu * 64u], qkv[first + lane + $nu * 64u]);
  }
//: end
  squares[lane] = sum;
  for (var half = 32u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if lane < half {
      squares[lane] += squares[lane + half];
    }
  }
  workgroupBarrier();
  return 1.0 / sqrt(squares[0] / f32(HEAD_DIM) + p.eps);
}
//: end

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let item = wg.y * groups.x + wg.x;
  let heads = p.q_heads + p.kv_heads;
  if item >= p.tokens * heads {
    return;
  }
  let token = item / heads;
  let head = item % heads;
  let is_query = head < p.q_heads;
  let first = token * p.stride4 + head * HEAD_DIM4;
  let words = words_of(token);
  let position = position_of(token);
  let angles = 4u * words + step[words + 1u].x + (position - step[words].w) * (HEAD_DIM + 4u); //: unless ROPES
  let angles = 4u * words + step[words + 1u].x + ((position - step[words].w) * ROPES + p.rope) * p.rope_words; //: when ROPES
  let scale = select(1.0, bitcast<f32>(step_word(angles + HEAD_DIM)), is_query);
  let normed = inverse_rms(first, lane); //: when NORM
  for (var pair = lane; pair < HEAD_DIM / 2u; pair += 64u) {
    let a_at = select(2u * pair, pair, pair < p.apart);
    let b_at = a_at + select(1u, p.apart, pair < p.apart);
    let angle = vec2f(bitcast<f32>(step_word(angles + pair)), bitcast<f32>(step_word(angles + pair + HEAD_DIM / 2u))) * scale;
    var a = qkv[first + a_at / 4u][a_at % 4u];
    var b = qkv[first + b_at / 4u][b_at % 4u];
//: when NORM
    a *= normed * select(k_gain[a_at], q_gain[a_at], is_query);
    b *= normed * select(k_gain[b_at], q_gain[b_at], is_query);
//: end
    rotated[a_at] = a * angle.x - b * angle.y;
    rotated[b_at] = b * angle.x + a * angle.y;
  }
  // Other lanes have read the queries that this one overwrites.
  storageBarrier();
  workgroupBarrier();
  var k: array<vec4f, LOADS>;
//: each n LOADS
  let at$n = lane + $nu * 64u;
  if at$n < HEAD_DIM4 {
    k[$n] = vec4f(rotated[4u * at$n], rotated[4u * at$n + 1u], rotated[4u * at$n + 2u], rotated[4u * at$n + 3u]);
    if is_query {
      qkv[first + query_place(at$n, p.q_layout)] = k[$n];
    }
  }
//: end
  if is_query {
    return;
  }
  let first_value = first + p.kv_heads * HEAD_DIM4; //: unless VALUES_ARE_KEYS
  let value_scale = inverse_rms(first_value, lane); //: when VALUES_NORMED
  var v: array<vec4f, LOADS>;
//: each n LOADS
  if at$n < HEAD_DIM4 {
    v[$n] = qkv[first_value + at$n]; //: unless VALUES_ARE_KEYS
    v[$n] *= value_scale; //: when VALUES_NORMED
    v[$n] = qkv[first + at$n] * normed; //: when VALUES_ARE_KEYS
  }
//: end
  let row = kv_row_of(words, position);
  let kv_head = head - p.q_heads;
//: when SHARED_SCALE
  store_head(row, kv_head, p.kv_heads, lane, k, v);
//: else
//: each n LOADS
  if at$n < HEAD_DIM4 {
    let at = (row * p.kv_heads + kv_head) * HEAD_DIM4 + at$n;
    store_key(at, k[$n]);
    store_value(at, v[$n]);
  }
//: end
//: end
}
