// Causal attention of the last m tokens over the cache, at a position that the GPU holds. A workgroup does ROWS query rows, a (token, query
// head of the group) pair each, of one key-value head over one split of the context, so that each key and value is read once for them. For
// the scores a thread takes POSITIONS positions; for the output it takes COLUMNS vectors of a head, and VALUE_GROUPS groups of threads divide
// the positions. With SPLIT, there are several splits and `out` is partial: attention_join adds them up.
//: const SUBGROUPS SPLIT HEAD_DIM4 ROWS ROWS4 THREADS POSITIONS COLUMNS VALUE_GROUPS
//: use $KV pages
//: use step_subgroup //: when SUBGROUPS
//: use step_memory //: unless SUBGROUPS

struct Params {
  m: u32,
  group: u32, // query heads a key-value head
  kv_heads: u32,
  splits: u32,
  scale: f32,
  q_stride4: u32,
  q_offset4: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4f>; // [m, q_stride4]
@group(0) @binding(2) var<storage, read_write> out: array<vec4f>; // [m, q_heads, HEAD_DIM4], or [splits, m, q_heads, HEAD_DIM4 + 1]

const HIDDEN: f32 = -1e30;
const TILE: u32 = THREADS * POSITIONS;

var<workgroup> weights: array<f32, TILE * ROWS>;
var<workgroup> sums: array<vec4f, ROWS * VALUE_GROUPS * HEAD_DIM4>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) wg: vec3u, ids: Ids) {
  let thread = ids.thread;
  let lanes = lanes_of(ids);
  var rows4: array<vec4f, ROWS4>;
  let row0 = wg.z * ROWS;
  let rows = p.m * p.group;
  // Where rows are of several conversations, those of a workgroup are of one.
  let is_apart = step[1].y > 0u;
  let words = words_of(row0 / p.group);
  let position = step[words].y;
  let kv_tokens = position + select(p.m, 1u, is_apart);
  let splits = select(p.splits, step[words + 1u].z, is_apart);
  let split = ((kv_tokens + splits - 1u) / splits + TILE - 1u) / TILE * TILE;
  let first = min(wg.x * split, kv_tokens);
  let end = min(first + split, kv_tokens);
//: each r ROWS
  let token$r = min(row0 + $ru, rows - 1u) / p.group;
  let behind$r = select(token$r, 0u, is_apart);
  let head$r = wg.y * p.group + min(row0 + $ru, rows - 1u) % p.group;
  let q$r = token$r * p.q_stride4 + p.q_offset4 + head$r * HEAD_DIM4;
  var peak$r = HIDDEN;
  var total$r = 0.0;
  var acc$r_$c = vec4f(0.0); //: each c COLUMNS
//: end
  let value_group = thread / HEAD_DIM4;
  let column$c = (thread + $cu * THREADS) % HEAD_DIM4; //: each c COLUMNS

  for (var base = first; base < end; base += TILE) {
    let tile_row = kv_row_of(words, base);
//: each n POSITIONS
    let position$n = base + thread + $nu * THREADS;
    let k$n = ((tile_row + min(position$n, end - 1u) - base) * p.kv_heads + wg.y) * HEAD_DIM4;
    var score$r_$n = 0.0; //: each r ROWS
//: end
    for (var d = 0u; d < HEAD_DIM4; d++) {
      let key$n = key4(k$n + d); //: each n POSITIONS
//: each r ROWS
      let query$r = q[q$r + d];
      score$r_$n += dot(query$r, key$n); //: each n POSITIONS
//: end
    }
//: each r ROWS
    var highest$r = HIDDEN;
//: each n POSITIONS
    let seen$r_$n = position$n < min(end, position + behind$r + 1u);
    score$r_$n = select(HIDDEN, score$r_$n * p.scale, seen$r_$n);
    highest$r = max(highest$r, score$r_$n);
//: end
    rows4[$ru / 4u][$ru % 4u] = highest$r;
//: end
    share_peak($fu, rows4[$f], lanes); //: each f ROWS4
    wait_for_peaks(lanes);
    rows4[$f] = peak_of($fu, lanes); //: each f ROWS4
//: each r ROWS
    let new_peak$r = max(peak$r, rows4[$ru / 4u][$ru % 4u]);
    let fade$r = exp(peak$r - new_peak$r);
    peak$r = new_peak$r;
    total$r *= fade$r;
    acc$r_$c *= fade$r; //: each c COLUMNS
//: each n POSITIONS
    // A row that sees none of these positions must not count them: its peak is HIDDEN as well.
    let weight$r_$n = select(0.0, exp(score$r_$n - peak$r), seen$r_$n);
    total$r += weight$r_$n;
    weights[(thread + $nu * THREADS) * ROWS + $ru] = weight$r_$n;
//: end
//: end
    workgroupBarrier();
    let tokens = min(TILE, end - base);
//: when SUBGROUPS
    // All lanes take as many turns.
    for (var turn = 0u; turn < tokens; turn += VALUE_GROUPS) {
      let j = min(turn + value_group, tokens - 1u);
      let is_own = value_group < VALUE_GROUPS && turn + value_group < tokens;
      let w$r = select(0.0, weights[j * ROWS + $ru], is_own); //: each r ROWS
//: else
    for (var j = select(tokens, value_group, value_group < VALUE_GROUPS); j < tokens; j += VALUE_GROUPS) {
      let w$r = weights[j * ROWS + $ru]; //: each r ROWS
//: end
//: each c COLUMNS
      let value$c = value4(((tile_row + j) * p.kv_heads + wg.y) * HEAD_DIM4 + column$c);
      acc$r_$c += w$r * value$c; //: each r ROWS
//: end
    }
  }

//: each r ROWS
  rows4[$ru / 4u][$ru % 4u] = total$r;
//: each c COLUMNS
  if value_group < VALUE_GROUPS && thread + $cu * THREADS < VALUE_GROUPS * HEAD_DIM4 {
    sums[($ru * VALUE_GROUPS + value_group) * HEAD_DIM4 + column$c] = acc$r_$c;
  }
//: end
//: end
  share_total($fu, rows4[$f], lanes); //: each f ROWS4
  wait_for_totals(lanes);
  let q_heads = p.kv_heads * p.group;
  for (var i = thread; i < min(ROWS, rows - row0) * HEAD_DIM4; i += THREADS) {
    let row = i / HEAD_DIM4;
    let column = i % HEAD_DIM4;
    let token = (row0 + row) / p.group;
    let head = wg.y * p.group + (row0 + row) % p.group;
    var sum = vec4f(0.0);
    for (var t = 0u; t < VALUE_GROUPS; t++) {
      sum += sums[(row * VALUE_GROUPS + t) * HEAD_DIM4 + column];
    }
    out[((wg.x * p.m + token) * q_heads + head) * (HEAD_DIM4 + 1u) + column] = sum; //: when SPLIT
    out[(token * q_heads + head) * HEAD_DIM4 + column] = sum / total_of(row, lanes); //: unless SPLIT
  }
//: when SPLIT
//: each r ROWS
  if thread == $ru && row0 + $ru < rows {
    let at = ((wg.x * p.m + token$r) * q_heads + head$r) * (HEAD_DIM4 + 1u) + HEAD_DIM4;
    out[at] = vec4f(peak$r, total_of($ru, lanes), 0.0, 0.0);
  }
//: end
//: end
}
