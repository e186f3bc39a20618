// Causal attention of the last m tokens over the cache, at a position only the GPU knows. A workgroup does all query rows, a
// (token, query head of the group) pair each, of one key-value head over one piece of the context, so that a key and a value are
// read once; where rows are more than ROWS, several workgroups share them. First a thread is a position, POSITIONS of them, then
// it is four columns of the head, COLUMNS times, and TEAMS of threads share the positions. With SPLIT, the pieces are several and
// `out` is partial: attention_join makes one of them. Keys and values, by `key4` and `value4`, come from a snippet, and so does how
// threads tell one another their peaks and totals, of rows in fours.
struct Params {
  m: u32,
  group: u32, // query heads a key-value head
  kv_heads: u32,
  splits: u32,
  scale: f32,
  q_stride4: u32,
  q_offset4: u32,
  padding: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4f>; // [m, q_stride4]
@group(0) @binding(2) var<storage, read_write> out: array<vec4f>; // [m, q_heads, HEAD_DIM4], or [splits, m, q_heads, HEAD_DIM4 + 1]
@group(0) @binding($STEP) var<storage, read> step: array<u32>; // token, position

const HIDDEN: f32 = -1e30;
const TILE: u32 = THREADS * POSITIONS;

var<workgroup> weights: array<f32, TILE * ROWS>;
var<workgroup> sums: array<vec4f, ROWS * TEAMS * HEAD_DIM4>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) wg: vec3u, ids: Ids) {
  let thread = ids.thread;
  let lanes = lanes_of(ids);
  var fours: array<vec4f, FOURS>;
  let position = step[1];
  let kv_tokens = position + p.m;
  let piece = ((kv_tokens + p.splits - 1u) / p.splits + TILE - 1u) / TILE * TILE;
  let first = min(wg.x * piece, kv_tokens);
  let end = min(first + piece, kv_tokens);
  let row0 = wg.z * ROWS;
  let rows = p.m * p.group;
//: each r ROWS
  let token$r = min(row0 + $ru, rows - 1u) / p.group;
  let head$r = wg.y * p.group + min(row0 + $ru, rows - 1u) % p.group;
  let q$r = token$r * p.q_stride4 + p.q_offset4 + head$r * HEAD_DIM4;
  var peak$r = HIDDEN;
  var total$r = 0.0;
//: each c COLUMNS
  var acc$r_$c = vec4f(0.0);
//: end
//: end
  let team = thread / HEAD_DIM4;
//: each c COLUMNS
  let column$c = (thread + $cu * THREADS) % HEAD_DIM4;
//: end

  for (var base = first; base < end; base += TILE) {
//: each n POSITIONS
    let position$n = base + thread + $nu * THREADS;
    let k$n = (min(position$n, end - 1u) * p.kv_heads + wg.y) * HEAD_DIM4;
//: each r ROWS
    var score$r_$n = 0.0;
//: end
//: end
    for (var d = 0u; d < HEAD_DIM4; d++) {
//: each n POSITIONS
      let key$n = key4(k$n + d);
//: end
//: each r ROWS
      let query$r = q[q$r + d];
//: each n POSITIONS
      score$r_$n += dot(query$r, key$n);
//: end
//: end
    }
//: each r ROWS
    var highest$r = HIDDEN;
//: each n POSITIONS
    let seen$r_$n = position$n < min(end, position + token$r + 1u);
    score$r_$n = select(HIDDEN, score$r_$n * p.scale, seen$r_$n);
    highest$r = max(highest$r, score$r_$n);
//: end
    fours[$ru / 4u][$ru % 4u] = highest$r;
//: end
//: each f FOURS
    tell_peak($fu, fours[$f], lanes);
//: end
    meet_for_peaks(lanes);
//: each f FOURS
    fours[$f] = peak_of($fu, lanes);
//: end
//: each r ROWS
    let new_peak$r = max(peak$r, fours[$ru / 4u][$ru % 4u]);
    let fade$r = exp(peak$r - new_peak$r);
    peak$r = new_peak$r;
    total$r *= fade$r;
//: each c COLUMNS
    acc$r_$c *= fade$r;
//: end
//: each n POSITIONS
    // Nothing is counted for a row that sees none of these positions.
    let weight$r_$n = select(0.0, exp(score$r_$n - peak$r), seen$r_$n);
    total$r += weight$r_$n;
    weights[(thread + $nu * THREADS) * ROWS + $ru] = weight$r_$n;
//: end
//: end
    workgroupBarrier();
    let tokens = min(TILE, end - base);
//: when SUBGROUPS
    // As many turns for every lane.
    for (var turn = 0u; turn < tokens; turn += TEAMS) {
      let j = min(turn + team, tokens - 1u);
      let is_own = team < TEAMS && turn + team < tokens;
//: each r ROWS
      let w$r = select(0.0, weights[j * ROWS + $ru], is_own);
//: end
//: end
//: unless SUBGROUPS
    for (var j = select(tokens, team, team < TEAMS); j < tokens; j += TEAMS) {
//: each r ROWS
      let w$r = weights[j * ROWS + $ru];
//: end
//: end
//: each c COLUMNS
      let value$c = value4(((base + j) * p.kv_heads + wg.y) * HEAD_DIM4 + column$c);
//: each r ROWS
      acc$r_$c += w$r * value$c;
//: end
//: end
    }
  }

//: each r ROWS
  fours[$ru / 4u][$ru % 4u] = total$r;
//: each c COLUMNS
  if team < TEAMS && thread + $cu * THREADS < TEAMS * HEAD_DIM4 {
    sums[($ru * TEAMS + team) * HEAD_DIM4 + column$c] = acc$r_$c;
  }
//: end
//: end
//: each f FOURS
  tell_total($fu, fours[$f], lanes);
//: end
  meet_for_totals(lanes);
  let q_heads = p.kv_heads * p.group;
  for (var i = thread; i < min(ROWS, rows - row0) * HEAD_DIM4; i += THREADS) {
    let row = i / HEAD_DIM4;
    let column = i % HEAD_DIM4;
    let token = (row0 + row) / p.group;
    let head = wg.y * p.group + (row0 + row) % p.group;
    var sum = vec4f(0.0);
    for (var t = 0u; t < TEAMS; t++) {
      sum += sums[(row * TEAMS + t) * HEAD_DIM4 + column];
    }
//: when SPLIT
    out[((wg.x * p.m + token) * q_heads + head) * (HEAD_DIM4 + 1u) + column] = sum;
//: end
//: unless SPLIT
    out[(token * q_heads + head) * HEAD_DIM4 + column] = sum / total_of(row, lanes);
//: end
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
