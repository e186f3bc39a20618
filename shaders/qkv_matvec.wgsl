// Queries, keys and values of a few tokens: the norm, the product with q | k | v, the rotation by the table's angles, and the append to the cache.
// An output tile is eight rows of a head that hold four pairs: two groups of four, adjacent with INTERLEAVED, else half a head apart.
//: const FUSED_OUTPUTS=2 HEAD_DIM4 INTERLEAVED HAS_BIAS
//: use $CACHE step_buffer query_layout $GEMV

struct Params {
  m: u32,
  k4: u32, // inputs / 4
  blocks: u32,
  tiles: u32, // heads * HEAD_DIM4 / 2
  eps: f32,
  q_heads: u32,
  kv_heads: u32,
  q_layout: u32, // of a query, see `query_place`
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>; // [m, k4]
@group(0) @binding(2) var<storage, read_write> q: array<vec4f>; // [m, q_heads, HEAD_DIM4]
@group(0) @binding(next) var<storage, read> bias: array<vec4f>; //: when HAS_BIAS // [heads, HEAD_DIM4]

fn group_of(tile: u32, output: u32) -> u32 {
  let head = tile / (HEAD_DIM4 / 2u);
  let i = tile % (HEAD_DIM4 / 2u);
  return head * HEAD_DIM4 + 2u * i + output; //: when INTERLEAVED
  return head * HEAD_DIM4 + i + output * (HEAD_DIM4 / 2u); //: unless INTERLEAVED
}

// Rotates the four pairs of two groups.
fn rotated(a: vec4f, b: vec4f, cos: vec4f, sin: vec4f) -> array<vec4f, 2> {
//: when INTERLEAVED
  return array(
    a * cos.xxyy + vec4f(-a.y, a.x, -a.w, a.z) * sin.xxyy,
    b * cos.zzww + vec4f(-b.y, b.x, -b.w, b.z) * sin.zzww,
  );
//: else
  return array(a * cos - b * sin, b * cos + a * sin);
//: end
}

fn write(row: u32, tile: u32, out: array<vec4f, FUSED_OUTPUTS>) {
  let group0 = group_of(tile, 0u);
  let group1 = group_of(tile, 1u);
  var a = out[0];
  var b = out[1];
//: when HAS_BIAS
  a += bias[group0];
  b += bias[group1];
//: end
  let words = words_of(row);
  let position = position_of(row);
  let head = tile / (HEAD_DIM4 / 2u);
  let k_group = p.q_heads * HEAD_DIM4;
  let v_group = k_group + p.kv_heads * HEAD_DIM4;
  if head >= p.q_heads + p.kv_heads {
    let at = kv_row_of(words, position) * p.kv_heads * HEAD_DIM4;
    store_value(at + group0 - v_group, a);
    store_value(at + group1 - v_group, b);
    return;
  }
  let angles = words + step[words + 1u].x / 4u + (position - step[words].w) * (HEAD_DIM4 + 1u);
  let scale = select(1.0, bitcast<f32>(step[angles + HEAD_DIM4].x), head < p.q_heads);
  let at = angles + tile % (HEAD_DIM4 / 2u);
  let both = rotated(a, b, bitcast<vec4f>(step[at]) * scale, bitcast<vec4f>(step[at + HEAD_DIM4 / 2u]) * scale);
  if head < p.q_heads {
    q[row * k_group + query_place(group0, p.q_layout)] = both[0];
    q[row * k_group + query_place(group1, p.q_layout)] = both[1];
  } else {
    let at = kv_row_of(words, position) * p.kv_heads * HEAD_DIM4;
    store_key(at + group0 - k_group, both[0]);
    store_key(at + group1 - k_group, both[1]);
  }
}
