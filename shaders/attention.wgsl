// softmax(q * k^T * scale) * v with an online softmax. A workgroup computes ROWS query rows of one key-value head; a row is a (token, query head of
// the group) pair, so that the heads of a group share every key and value they read. A group of LANES threads has 4 * ROWS4 rows and takes TILE
// keys at a time: a thread first computes the scores of KEYS of them, then the contribution of all of them to COLUMNS vectors of its rows' outputs.
// The largest scores of rows and the weights are exchanged through workgroup memory. SCORE_UNROLL and VALUE_UNROLL are the unroll factors of the
// two inner loops.
//: const HEAD_DIM4 LANES LANE_GROUPS ROWS ROWS4 TILE KEYS COLUMNS SCORE_UNROLL VALUE_UNROLL SCALED GATED WINDOWED CAPPED
//: use attention_params $KV $ROWS_OF
//: use gates //: when GATED

var<workgroup> lane_values: array<vec4f, LANES * ROWS / 4>; // largest scores, in the end sums of weights
var<workgroup> weights: array<vec4f, TILE * ROWS / 4>; // [TILE, ROWS]

@compute @workgroup_size(LANES, LANE_GROUPS)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_id) id: vec3u) {
  let kv_head = wg.y;
  let lane = id.x;
  let first_row = wg.x * ROWS + id.y * ROWS4 * 4u;
  let rows = p.q_tokens * p.group;
  let causal = p.causal == 1u;
  let last_token = (min(wg.x * ROWS + ROWS, rows) - 1u) / p.group;
  let end = select(p.kv_tokens, min(p.kv_tokens, p.past + last_token + 1u), causal);
//: when WINDOWED
  // The tile that holds the first key in sight of the first row.
  let begin = (max(p.past + wg.x * ROWS / p.group + 1u, p.window) - p.window) / TILE * TILE;
//: end
//: each h ROWS4
  let row$h = min(vec4u(first_row + $hu * 4u) + vec4u(0u, 1u, 2u, 3u), vec4u(rows - 1u));
  let token$h = row$h / p.group;
  let head$h = kv_head * p.group + row$h % p.group;
  let visible$h = select(vec4u(end), token$h + p.past + 1u, vec4<bool>(causal));
  let q$h = token$h * p.q_stride4 + p.q_offset4 + head$h * HEAD_DIM4;
  let own$h = id.y * ROWS4 + $hu; // of ROWS / 4
  var peak$h = vec4f(HIDDEN);
  var total$h = vec4f(0.0);
  var acc$h_$r_$c = vec4f(0.0); //: each r 4 c COLUMNS
//: end

  for (var base = 0u; base < end; base += TILE) { //: unless WINDOWED
  for (var base = begin; base < end; base += TILE) { //: when WINDOWED
    let tile_row = kv_row(base);
//: each i KEYS
    let position$i = base + lane + $iu * LANES;
    let row$i = tile_row + min(position$i, end - 1u) - base;
    let k$i = row$i * p.k_stride4 + p.k_offset4 + kv_head * HEAD_DIM4;
    let scales$i = scales_of(row$i, kv_head, p.k_stride4 / HEAD_DIM4); //: when SCALED
    var score$h_$i = vec4f(0.0); //: each h ROWS4
//: end
    for (var d = 0u; d < HEAD_DIM4; d += SCORE_UNROLL) {
//: each s SCORE_UNROLL
      let q$s_$h = mat4x4f(q[q$h.x + d + $su], q[q$h.y + d + $su], q[q$h.z + d + $su], q[q$h.w + d + $su]); //: each h ROWS4 // [4 rows, 4]
//: each i KEYS
      let k$s_$i = key4(k$i + d + $su);
      score$h_$i += k$s_$i * q$s_$h; //: each h ROWS4
//: end
//: end
    }
//: each h ROWS4
    var top$h = peak$h;
//: each i KEYS
    score$h_$i *= scales$i.x; //: when SCALED
    score$h_$i = tanh(clamp(score$h_$i * p.squash, vec4f(-15.0), vec4f(15.0))); //: when CAPPED
    score$h_$i = select(vec4f(HIDDEN), score$h_$i * p.scale, vec4u(position$i) < visible$h);
    score$h_$i = select(vec4f(HIDDEN), score$h_$i, vec4u(position$i + p.window) >= visible$h); //: when WINDOWED
    top$h = max(top$h, score$h_$i);
//: end
    lane_values[lane * ROWS / 4u + own$h] = top$h;
//: end
    workgroupBarrier();
    // Every row sees a key of some tile. From that tile on `peak` is a real score; what hidden keys added before it vanishes in `fade`.
//: each h ROWS4
    for (var l = 0u; l < LANES; l++) {
      top$h = max(top$h, lane_values[l * ROWS / 4u + own$h]);
    }
    let fade$h = exp(peak$h - top$h);
    peak$h = top$h;
    total$h *= fade$h;
//: each i KEYS
    var weight$h_$i = exp(score$h_$i - top$h);
    total$h += weight$h_$i;
    weight$h_$i *= scales$i.y; //: when SCALED
    weights[(lane + $iu * LANES) * (ROWS / 4u) + own$h] = weight$h_$i;
//: end
    acc$h_$r_$c *= fade$h[$r]; //: each r 4 c COLUMNS
//: end
    workgroupBarrier();
    let count = min(TILE, end - base);
    let last_row = tile_row + count - 1u;
    for (var key = 0u; key < count; key += VALUE_UNROLL) {
//: each n VALUE_UNROLL
      let v$n = min(tile_row + key + $nu, last_row) * p.v_stride4 + p.v_offset4 + kv_head * HEAD_DIM4;
      let w$n_$h = weights[(key + $nu) * (ROWS / 4u) + own$h]; //: each h ROWS4
//: each c COLUMNS
      let value$n_$c = value4(v$n + min(lane + $cu * LANES, HEAD_DIM4 - 1u));
      acc$h_$r_$c += w$n_$h[$r] * value$n_$c; //: each h ROWS4 r 4
//: end
//: end
    }
  }

  lane_values[lane * ROWS / 4u + own$h] = total$h; //: each h ROWS4
  workgroupBarrier();
//: each h ROWS4
  var sum$h = vec4f(0.0);
  for (var l = 0u; l < LANES; l++) {
    sum$h += lane_values[l * ROWS / 4u + own$h];
  }
//: each r 4
  if first_row + $hu * 4u + $ru < rows {
    let at = token$h[$r] * p.out_stride4 + head$h[$r] * HEAD_DIM4;
//: each c COLUMNS
    if lane + $cu * LANES < HEAD_DIM4 {
      acc$h_$r_$c /= sum$h[$r];
      acc$h_$r_$c = gated(acc$h_$r_$c, token$h[$r], head$h[$r] * HEAD_DIM4 + lane + $cu * LANES); //: when GATED
      out[at + lane + $cu * LANES] = acc$h_$r_$c;
    }
//: end
  }
//: end
//: end
}
