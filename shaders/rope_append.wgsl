// Rotates the query and key heads of new tokens by the table's angles and scales the queries, in place; rotated keys and the values are appended to
// the cache at the step's position. A workgroup computes one head of one token: a query head, or a key head with its values. HEAD_DIM4 is at most
// 64. With NORM, queries and keys are normed first. With SHARED_SCALE, the cache stores whole heads. With ROPES, the table has that many rows for
// each position, one for each rope.
//: const HEAD_DIM4 SHARED_SCALE NORM ROPES
//: use $CACHE step_buffer query_layout

struct Params {
  tokens: u32,
  q_heads: u32,
  kv_heads: u32,
  stride4: u32, // of a row of qkv
  apart: u32, // the lanes of the first pairs, of which there are as many; those of further pairs are neighbours
  eps: f32, // of the norm
  q_layout: u32, // of a query, see `query_place`
  rope: u32, //: when ROPES // which of them
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> qkv: array<vec4f>; // [tokens, stride4]: queries, keys, values
@group(0) @binding(next) var<storage, read> q_gain: array<f32>; //: when NORM // [HEAD_DIM]
@group(0) @binding(next) var<storage, read> k_gain: array<f32>; //: when NORM // [HEAD_DIM]

const HEAD_DIM: u32 = 4u * HEAD_DIM4;

// Scalars, because neighbouring threads write different numbers of the same vector.
var<workgroup> rotated: array<f32, HEAD_DIM>;
var<workgroup> squares: array<f32, 64>; //: when NORM

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
  let angles = 4u * words + step[words + 1u].x + ((position - step[words].w) * ROPES + p.rope) * (HEAD_DIM + 4u); //: when ROPES
  let scale = select(1.0, bitcast<f32>(step_word(angles + HEAD_DIM)), is_query);
//: when NORM
  var sum = 0.0;
  if lane < HEAD_DIM4 {
    sum = dot(qkv[first + lane], qkv[first + lane]);
  }
  squares[lane] = sum;
  for (var half = 32u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if lane < half {
      squares[lane] += squares[lane + half];
    }
  }
  workgroupBarrier();
  let normed = 1.0 / sqrt(squares[0] / f32(HEAD_DIM) + p.eps);
//: end
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
  var k = vec4f(0.0);
  var v = vec4f(0.0);
  if lane < HEAD_DIM4 {
    k = vec4f(rotated[4u * lane], rotated[4u * lane + 1u], rotated[4u * lane + 2u], rotated[4u * lane + 3u]);
    if is_query {
      qkv[first + query_place(lane, p.q_layout)] = k;
    } else {
      v = qkv[first + p.kv_heads * HEAD_DIM4 + lane];
    }
  }
  if is_query {
    return;
  }
  let row = kv_row_of(words, position);
  let kv_head = head - p.q_heads;
//: when SHARED_SCALE
  store_head(row, kv_head, p.kv_heads, lane, k, v);
//: else
  if lane < HEAD_DIM4 {
    let at = (row * p.kv_heads + kv_head) * HEAD_DIM4 + lane;
    store_key(at, k);
    store_value(at, v);
  }
//: end
}
