// `attention` through workgroup memory, into which keys and values are loaded once for ROWS query rows. A group of LANES threads has 4 * ROWS4 rows
// and takes TILE keys at a time: a thread computes the scores of KEYS of them, then the contribution of all of them to COLUMNS vectors of its rows'
// outputs. Scores are computed in slices of four vectors of all queries and keys, 64 bytes of a query; outputs in slices of VALUES values with
// their weights. Global memory for a slice is loaded while the slice before it is multiplied.
//: const THREADS LANES ROWS ROWS4 TILE KEYS COLUMNS VALUES SCALED GATED WINDOWED CAPPED
//: use attention_params $KV $ROWS_OF staged_heads
//: use gates //: when GATED
//: const HEAD_DIM4

const SLICES: u32 = (HEAD_DIM4 + 3u) / 4u;

var<workgroup> weights: array<array<vec4f, ROW_GROUPS>, VALUES>; // [values, rows / 4]
var<workgroup> lane_values: array<array<vec4f, ROW_GROUPS>, LANES>; // largest scores of a tile, then sums of weights again
var<workgroup> peaks: array<vec4f, ROW_GROUPS>;
var<workgroup> tile_scales: array<vec2f, TILE>; //: when SCALED // of keys, and of values
var<workgroup> visible: array<vec4u, ROW_GROUPS>; // keys that a row sees

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) thread: u32) {
  let kv_head = wg.y;
  // Clamped here, so that devices that check bounds have nothing left to do.
  let lane = min(thread % LANES, LANES - 1u);
  let own$h = min(thread / LANES * ROWS4 + $hu, ROW_GROUPS - 1u); //: each h ROWS4 // of ROWS / 4
  let first_row = wg.x * ROWS;
  let rows = p.q_tokens * p.group;
  let causal = p.causal == 1u;
  let last_token = (min(first_row + ROWS, rows) - 1u) / p.group;
  let end = select(p.kv_tokens, min(p.kv_tokens, p.past + last_token + 1u), causal);
  let seen_by_all = select(end, first_row / p.group + p.past + 1u, causal);
//: when WINDOWED
  // The tile that holds the first key in sight of the first row, and the first key in sight of the last row.
  let begin = (max(seen_by_all, p.window) - p.window) / TILE * TILE;
  let first_of_last = max(end, p.window) - p.window;
//: end
  if thread < ROWS / 4u {
    let token = min(vec4u(first_row + thread * 4u) + vec4u(0u, 1u, 2u, 3u), vec4u(rows - 1u)) / p.group;
    visible[thread] = select(vec4u(end), token + p.past + 1u, vec4<bool>(causal));
    peaks[thread] = vec4f(HIDDEN);
  }
//: each h ROWS4
  lane_values[lane][own$h] = vec4f(0.0);
  var acc$h_$r_$c = vec4f(0.0); //: each r 4 c COLUMNS
//: end
  choose_queries(first_row, rows - 1u, kv_head, thread);
//: when WINDOWED
  var row = kv_row(begin);
  load_scores(0u, row, end - 1u - begin, kv_head, thread);
  for (var base = begin; base < end; base += TILE) {
//: else
  var row = kv_row(0u);
  load_scores(0u, row, end - 1u, kv_head, thread);
  for (var base = 0u; base < end; base += TILE) {
//: end
    let last = end - 1u - base;
    let ahead = select(0u, TILE, last >= TILE);
    let next_row = kv_row(base + ahead);
//: when SCALED
    let key = own0 / ROWS4 * LANES + lane;
    if key < TILE {
      tile_scales[key] = scales_of(row + min(key, last), kv_head, p.k_stride4 / HEAD_DIM4);
    }
//: end
    var score$h_$i = vec4f(0.0); //: each h ROWS4 i KEYS
    for (var slice = 0u; slice < SLICES; slice++) {
      workgroupBarrier();
      publish_scores(slice, thread);
      workgroupBarrier();
      // After the last slice follows the first one of the next tile.
      let is_last = slice + 1u == SLICES;
      load_scores(select(slice + 1u, 0u, is_last), select(row, next_row, is_last), last - select(0u, ahead, is_last), kv_head, thread);
//: each d 4
      let k$d_$i = key_slice[$d].at[$i][lane]; //: each i KEYS
//: each h ROWS4 r 4
      let q$d_$h_$r = query_slice[$d].at[own$h][$r];
//: each i KEYS
      // Each product is added to the sum before it: one instruction where a device fuses them.
      score$h_$i[$r] = score$h_$i[$r] + q$d_$h_$r.x * k$d_$i.x + q$d_$h_$r.y * k$d_$i.y + q$d_$h_$r.z * k$d_$i.z + q$d_$h_$r.w * k$d_$i.w;
//: end
//: end
//: end
    }
//: when SCALED
//: each i KEYS
    let scales$i = tile_scales[lane * KEYS + $iu];
    score$h_$i *= scales$i.x; //: each h ROWS4
//: end
//: end
    score$h_$i = tanh(clamp(score$h_$i * p.squash, vec4f(-15.0), vec4f(15.0))); //: each h ROWS4 i KEYS //: when CAPPED
    if base + TILE > seen_by_all { //: unless WINDOWED
    if base + TILE > seen_by_all || base < first_of_last { //: when WINDOWED
//: each i KEYS
      let position$i = vec4u(base + lane * KEYS + $iu);
      score$h_$i = select(vec4f(HIDDEN), score$h_$i, position$i < visible[own$h]); //: each h ROWS4
      score$h_$i = select(vec4f(HIDDEN), score$h_$i, position$i + p.window >= visible[own$h]); //: each h ROWS4 //: when WINDOWED
//: end
    }
//: each h ROWS4
    var top$h = score$h_0;
    top$h = max(top$h, score$h_$i); //: each i KEYS
    var total$h = lane_values[lane][own$h];
    lane_values[lane][own$h] = top$h;
//: end
    workgroupBarrier();
    // Every row sees a key of some tile. From that tile on its peak is a real score; what hidden keys added before it vanishes in `fade`.
//: each h ROWS4
    for (var l = 0u; l < LANES; l++) {
      top$h = max(top$h, lane_values[l][own$h]);
    }
    let peak$h = peaks[own$h];
    top$h = max(peak$h, top$h);
    let fade$h = exp2((peak$h - top$h) * p.scale);
    total$h *= fade$h;
    acc$h_$r_$c *= fade$h[$r]; //: each r 4 c COLUMNS
//: each i KEYS
    var weight$h_$i = exp2((score$h_$i - top$h) * p.scale);
    total$h += weight$h_$i;
    weight$h_$i *= scales$i.y; //: when SCALED
//: end
//: end
    workgroupBarrier();
    lane_values[lane][own$h] = total$h; //: each h ROWS4
    if lane == 0u {
      peaks[own$h] = top$h; //: each h ROWS4
    }
    load_values(0u, row, last, kv_head, thread);
    let count = min(TILE, last + 1u);
    for (var first = 0u; first < count; first += VALUES) {
      if first > 0u {
        workgroupBarrier();
      }
      if lane * KEYS / VALUES == first / VALUES {
        weights[lane * KEYS % VALUES + $iu][own$h] = weight$h_$i; //: each h ROWS4 i KEYS
      }
      publish_values(thread);
      workgroupBarrier();
      load_values(first + VALUES, row, last, kv_head, thread);
//: each n VALUES
      let w$n_$h = weights[$n][own$h]; //: each h ROWS4
//: each c COLUMNS
      let v$n_$c = value_slice[$n][$c][lane];
      acc$h_$r_$c += w$n_$h[$r] * v$n_$c; //: each h ROWS4 r 4
//: end
//: end
    }
    row = next_row;
  }

  workgroupBarrier();
//: each h ROWS4
  var sum$h = vec4f(0.0);
  for (var l = 0u; l < LANES; l++) {
    sum$h += lane_values[l][own$h];
  }
//: each r 4
  let row$h_$r = first_row + own$h * 4u + $ru;
  if row$h_$r < rows {
    let token = row$h_$r / p.group;
    let head = (kv_head * p.group + row$h_$r % p.group) * HEAD_DIM4;
    let at = token * p.out_stride4 + head;
//: each c COLUMNS
    if lane + $cu * LANES < HEAD_DIM4 {
      acc$h_$r_$c /= sum$h[$r];
      acc$h_$r_$c = gated(acc$h_$r_$c, token, head + lane + $cu * LANES); //: when GATED
      out[at + lane + $cu * LANES] = acc$h_$r_$c;
    }
//: end
  }
//: end
//: end
}
