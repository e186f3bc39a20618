// softmax(q * k^T * scale) * v with an online softmax. A workgroup owns ROWS query rows of one key-value head; a row is a
// (token, query head of the group) pair, so that the heads of a group share every key and value they read.
// HEAD_DIM4, ROWS, LANES, TILE and CHUNK come from the host: 64 threads are ROWS x LANES, TILE keys are seen at a time, and a
// lane owns CHUNK vectors of its row's output. Keys and values, by `key4` and `value4`, come from a snippet.
struct Params {
  q_tokens: u32,
  kv_tokens: u32,
  group: u32, // query heads a key-value head
  past: u32, // position of the first query
  causal: u32,
  scale: f32,
  q_stride4: u32,
  q_offset4: u32,
  k_stride4: u32,
  k_offset4: u32,
  v_stride4: u32,
  v_offset4: u32,
  out_stride4: u32,
  padding0: u32,
  padding1: u32,
  padding2: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4f>; // [q_tokens, q_stride4]
@group(0) @binding(2) var<storage, read_write> out: array<vec4f>; // [q_tokens, out_stride4]

const HIDDEN: f32 = -1e30;

var<workgroup> q_tile: array<vec4f, ROWS * HEAD_DIM4>;
var<workgroup> kv_tile: array<vec4f, TILE * HEAD_DIM4>;
var<workgroup> scores: array<f32, ROWS * TILE>;

fn load_q(row0: u32, kv_head: u32, thread: u32) {
  for (var i = thread; i < ROWS * HEAD_DIM4; i += 64u) {
    let row = row0 + i / HEAD_DIM4;
    var value = vec4f(0.0);
    if row < p.q_tokens * p.group {
      let head = kv_head * p.group + row % p.group;
      value = q[row / p.group * p.q_stride4 + p.q_offset4 + head * HEAD_DIM4 + i % HEAD_DIM4] * p.scale;
    }
    q_tile[i] = value;
  }
}

fn load_k(base: u32, end: u32, kv_head: u32, thread: u32) {
  for (var i = thread; i < TILE * HEAD_DIM4; i += 64u) {
    let position = base + i / HEAD_DIM4;
    var value = vec4f(0.0);
    if position < end {
      value = key4(position * p.k_stride4 + p.k_offset4 + kv_head * HEAD_DIM4 + i % HEAD_DIM4);
    }
    kv_tile[i] = value;
  }
}

fn load_v(base: u32, end: u32, kv_head: u32, thread: u32) {
  for (var i = thread; i < TILE * HEAD_DIM4; i += 64u) {
    let position = base + i / HEAD_DIM4;
    var value = vec4f(0.0);
    if position < end {
      value = value4(position * p.v_stride4 + p.v_offset4 + kv_head * HEAD_DIM4 + i % HEAD_DIM4);
    }
    kv_tile[i] = value;
  }
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) thread: u32) {
  let kv_head = wg.y;
  let row0 = wg.x * ROWS;
  let last_row = min(row0 + ROWS, p.q_tokens * p.group) - 1u;
  let causal = p.causal == 1u;
  let end = select(p.kv_tokens, min(p.kv_tokens, p.past + last_row / p.group + 1u), causal);
  let row = thread / LANES;
  let lane = thread % LANES;
  let token = min(row0 + row, last_row) / p.group;
  let visible = select(end, min(end, p.past + token + 1u), causal);

  load_q(row0, kv_head, thread);
  var peak = HIDDEN;
  var total = 0.0;
  var acc = array<vec4f, CHUNK>();
  for (var base = 0u; base < end; base += TILE) {
    workgroupBarrier();
    load_k(base, end, kv_head, thread);
    workgroupBarrier();
    for (var j = lane; j < TILE; j += LANES) {
      var score = 0.0;
      for (var d = 0u; d < HEAD_DIM4; d++) {
        score += dot(q_tile[row * HEAD_DIM4 + d], kv_tile[j * HEAD_DIM4 + d]);
      }
      scores[row * TILE + j] = select(HIDDEN, score, base + j < visible);
    }
    workgroupBarrier();
    load_v(base, end, kv_head, thread);
    var new_peak = peak;
    for (var j = 0u; j < TILE; j++) {
      new_peak = max(new_peak, scores[row * TILE + j]);
    }
    let fade = exp(peak - new_peak);
    peak = new_peak;
    total *= fade;
    for (var c = 0u; c < CHUNK; c++) {
      acc[c] *= fade;
    }
    workgroupBarrier();
    // Position 0 is visible to every row, so from the first tile on `peak` is a real score and hidden ones vanish.
    for (var j = 0u; j < TILE; j++) {
      let weight = exp(scores[row * TILE + j] - peak);
      total += weight;
      for (var c = 0u; c < CHUNK; c++) {
        let d = lane + c * LANES;
        if d < HEAD_DIM4 {
          acc[c] += weight * kv_tile[j * HEAD_DIM4 + d];
        }
      }
    }
  }
  if row0 + row <= last_row {
    let head = kv_head * p.group + (row0 + row) % p.group;
    for (var c = 0u; c < CHUNK; c++) {
      let d = lane + c * LANES;
      if d < HEAD_DIM4 {
        out[token * p.out_stride4 + head * HEAD_DIM4 + d] = acc[c] / total;
      }
    }
  }
}
