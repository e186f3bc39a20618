// Causal attention of the last m tokens over the cache, at a position that the GPU holds. A workgroup computes ROWS query rows, a (token, query
// head of the group) pair each, of one key-value head over one split of the context, so that each key and value is read once for them. For the
// scores a thread takes POSITIONS positions, or with WIDE_KEYS a quarter of each of four times as many: its neighbours take the other quarters, so
// that together they read 64 bytes of a key, and with QUERIES_BY_LANE 64 bytes of a query. For the output it takes COLUMNS vectors of a head, and
// VALUE_GROUPS groups of threads divide the positions. With SPLIT, there are several splits and `out` is partial: attention_join adds them up.
//: const WIDE_KEYS QUERIES_BY_LANE WIDE_VALUES=0 SCALED PACK AT_ONCE UNROLL SUBGROUPS SPLIT GATED WINDOWED CAPPED HEAD_DIM4 ROWS ROWS4 THREADS POSITIONS COLUMNS VALUE_GROUPS SUMS
//: use attention_step_params $KV step_buffer
//: use lane_layout //: unless SPLIT
//: use gates //: when GATED
//: use window //: when WINDOWED
//: use step_reduce_subgroup //: when SUBGROUPS
//: use step_reduce_memory //: unless SUBGROUPS
//: const NATIVE?=0

const HIDDEN: f32 = -1e30;
const TILE: u32 = THREADS * POSITIONS;
const PACKS: u32 = HEAD_DIM4 / PACK; // loads of a key
const NEXT: u32 = 4u; //: when QUERIES_BY_LANE // from a vector of a query to the next one
const NEXT: u32 = 1u; //: unless QUERIES_BY_LANE
const QUARTER: u32 = (TILE + 2u) * ROWS4; // the gap lets neighbours write to different banks

var<workgroup> peaks: array<vec4f, ROWS4>; // largest scores of the tiles so far
var<workgroup> weights: array<array<f32, ROWS>, TILE>;
// Sums of outputs, [ROWS, VALUE_GROUPS, HEAD_DIM4]; with WIDE_KEYS, earlier, of scores, [4, TILE + 2, ROWS4].
var<workgroup> sums: array<vec4f, SUMS>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) wg: vec3u,
  @builtin(local_invocation_index) thread: u32,
  @builtin(subgroup_id) subgroup: u32, @builtin(num_subgroups) subgroups: u32, //: when NATIVE
) {
  let lanes = lanes_of(subgroup, subgroups); //: when NATIVE
  let lanes = lanes_of(thread); //: unless NATIVE
  var rows4: array<vec4f, ROWS4>;
  var fades: array<vec4f, ROWS4>;
  let row0 = wg.z * ROWS;
  let rows = p.m * p.group;
  // All rows of a workgroup belong to one conversation.
  let is_apart = step[1].y > 0u;
  let words = words_of(row0 / p.group);
  let position = step[words].y;
  let span = span_of(words, wg.x, p.m, p.splits, TILE); //: unless WINDOWED
  let span = span_of_window(words, wg.x, p.m, p.splits, p.window, TILE); //: when WINDOWED
//: each r ROWS
  let token$r = min(row0 + $ru, rows - 1u) / p.group;
  let offset$r = select(token$r, 0u, is_apart);
  let head$r = wg.y * p.group + min(row0 + $ru, rows - 1u) % p.group;
  let q$r = token$r * p.q_stride4 + p.q_offset4 + head$r * HEAD_DIM4;
  var total$r = 0.0;
  var acc$r_$c = vec4f(0.0); //: each c COLUMNS
//: end
  let value_group = thread / HEAD_DIM4;
  let column$c = (thread + $cu * THREADS) % HEAD_DIM4; //: each c COLUMNS

  for (var base = span.x; base < span.y; base += TILE) {
    let tile_row = kv_row_of(words, base);
    let tokens = min(TILE, span.y - base);
//: each n POSITIONS
    let at$n = thread + $nu * THREADS;
    let position$n = base + at$n;
    let scales$n = scales_of(tile_row + min(at$n, tokens - 1u), wg.y, p.kv_heads); //: when SCALED
//: end
//: when WIDE_KEYS
    let part = thread % 4u;
    for (var own = thread / 4u; own < TILE; own += AT_ONCE * (THREADS / 4u)) {
//: each l AT_ONCE
      let own$l = own + $lu * (THREADS / 4u);
      let k$l = ((tile_row + min(own$l, tokens - 1u)) * p.kv_heads + wg.y) * PACKS;
      var part$r_$l = 0.0; //: each r ROWS
//: end
      for (var d = part; d < PACKS; d += 4u) {
        var packed$l = k[k$l + d]; //: each l AT_ONCE
        let first = (d - part) * PACK + part; //: when QUERIES_BY_LANE
        let first = d * PACK; //: unless QUERIES_BY_LANE
        // Vectors of the keys one by one: unpacking all of them takes more registers than most devices have.
        for (var e = first; e < first + PACK * NEXT; e += NEXT) {
//: each l AT_ONCE
          let key$l = vector0(packed$l);
          packed$l = next_vectors(packed$l);
//: end
//: each r ROWS
          let query$r = q[q$r + e];
//: each l AT_ONCE
          // Each product is added to the sum before it: one instruction where a device fuses them.
          part$r_$l = part$r_$l + query$r.x * key$l.x + query$r.y * key$l.y + query$r.z * key$l.z + query$r.w * key$l.w;
//: end
//: end
        }
      }
//: each l AT_ONCE
      rows4[$ru / 4u][$ru % 4u] = part$r_$l; //: each r ROWS
      sums[part * QUARTER + own$l * ROWS4 + $fu] = rows4[$f]; //: each f ROWS4
//: end
    }
    workgroupBarrier();
//: each n POSITIONS
//: each f ROWS4
    rows4[$f] = sums[at$n * ROWS4 + $fu];
    rows4[$f] += sums[($ju + 1u) * QUARTER + at$n * ROWS4 + $fu]; //: each j 3
//: end
    var score$r_$n = rows4[$ru / 4u][$ru % 4u]; //: each r ROWS
//: end
//: else
    let k$n = ((tile_row + min(at$n, tokens - 1u)) * p.kv_heads + wg.y) * HEAD_DIM4; //: each n POSITIONS
    var score$r_$n = 0.0; //: each n POSITIONS r ROWS
    for (var d = 0u; d < HEAD_DIM4; d++) {
      let key$n = key4(k$n + d); //: each n POSITIONS
//: each r ROWS
      let query$r = q[q$r + d];
      score$r_$n += dot(query$r, key$n); //: each n POSITIONS
//: end
    }
//: end
//: each r ROWS
    var highest$r = HIDDEN;
//: each n POSITIONS
    let seen$r_$n = position$n < min(span.y, position + offset$r + 1u); //: unless WINDOWED
    let seen$r_$n = position$n < min(span.y, position + offset$r + 1u) && position$n + p.window > position + offset$r; //: when WINDOWED
    score$r_$n *= scales$n.x; //: when SCALED
    score$r_$n = tanh(clamp(score$r_$n * p.squash, -15.0, 15.0)); //: when CAPPED
    score$r_$n = select(HIDDEN, score$r_$n * p.scale, seen$r_$n);
    highest$r = max(highest$r, score$r_$n);
//: end
    rows4[$ru / 4u][$ru % 4u] = highest$r;
//: end
//: each f ROWS4
    let before$f = select(peaks[$f], vec4f(HIDDEN), base == span.x);
    share_peak($fu, rows4[$f], lanes);
//: end
    wait_for_peaks(lanes);
//: each f ROWS4
    rows4[$f] = max(before$f, peak_of($fu, lanes));
    fades[$f] = exp(before$f - rows4[$f]);
    if thread == 0u {
      peaks[$f] = rows4[$f];
    }
//: end
//: each r ROWS
    total$r *= fades[$ru / 4u][$ru % 4u];
    acc$r_$c *= fades[$ru / 4u][$ru % 4u]; //: each c COLUMNS
//: each n POSITIONS
    // A row that sees none of these positions must not count them: its peak is HIDDEN as well.
    var weight$r_$n = select(0.0, exp(score$r_$n - rows4[$ru / 4u][$ru % 4u]), seen$r_$n);
    total$r += weight$r_$n;
    weight$r_$n *= scales$n.y; //: when SCALED
    weights[at$n][$r] = weight$r_$n;
//: end
//: end
    workgroupBarrier();
    let first_value = (tile_row * p.kv_heads + wg.y) * HEAD_DIM4;
    // Every thread takes the same number of turns. Positions past the end have weight 0, and the sums of threads without a group are not read.
    for (var turn = 0u; turn < tokens; turn += UNROLL * VALUE_GROUPS) {
//: each n UNROLL
      let j$n = turn + $nu * VALUE_GROUPS + value_group;
      let value$n_$c = value4(first_value + within(j$n, tokens) * (p.kv_heads * HEAD_DIM4) + column$c); //: each c COLUMNS
//: end
//: each n UNROLL r ROWS
      let w$n_$r = weights[within(j$n, TILE)][$r];
      acc$r_$c += w$n_$r * value$n_$c; //: each c COLUMNS
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
//: unless SPLIT
    sum /= total_of(row, lanes);
    sum = gated(sum, token, head * HEAD_DIM4 + column); //: when GATED
    out[lane_place((token * q_heads + head) * HEAD_DIM4 + column, p.lane_layout)] = sum;
//: end
  }
//: when SPLIT
//: each r ROWS
  if thread == $ru && row0 + $ru < rows {
    let at = ((wg.x * p.m + token$r) * q_heads + head$r) * (HEAD_DIM4 + 1u) + HEAD_DIM4;
    out[at] = vec4f(select(peaks[$ru / 4u][$ru % 4u], HIDDEN, span.x == span.y), total_of($ru, lanes), 0.0, 0.0);
  }
//: end
//: end
}
