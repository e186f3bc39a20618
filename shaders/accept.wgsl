// Verifies drafts: the result is the one of `sample` drawing greedily row by row, up to the first row whose token differs from the next input. One
// workgroup, LANES threads a row.
struct Params {
  rows: u32,
  chunks: u32,
}

const NONE = 0xffffffffu;
const ROWS = 8u;
const LANES = 32u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> words: array<vec2u>; // [rows, chunks] token or NONE; unusable token or NONE
@group(0) @binding(2) var<storage, read> values: array<vec2f>; // [rows, chunks] logit
@group(0) @binding(3) var<storage, read> inputs: array<u32>; // [rows] the token that was known, then drafts
@group(0) @binding(4) var<storage, read_write> state: array<u32>; // token, position, tokens drawn, ..

var<workgroup> tokens: array<vec2u, ROWS * LANES>;
var<workgroup> bests: array<f32, ROWS * LANES>;

// Keeps the better of two candidates; of equal logits, the lower token id.
fn merge(thread: u32, other: vec2u, other_best: f32) {
  let own = tokens[thread];
  let best = bests[thread];
  tokens[thread].y = min(own.y, other.y);
  if other.x == NONE {
    return;
  }
  if own.x == NONE || other_best > best || (other_best == best && other.x < own.x) {
    tokens[thread].x = other.x;
    bests[thread] = other_best;
  }
}

@compute @workgroup_size(ROWS * LANES)
fn main(@builtin(local_invocation_index) thread: u32) {
  let row = thread / LANES;
  let lane = thread % LANES;
  tokens[thread] = vec2u(NONE);
  bests[thread] = 0.0;
  if row < p.rows {
    for (var chunk = lane; chunk < p.chunks; chunk += LANES) {
      let at = row * p.chunks + chunk;
      merge(thread, words[at], values[at].x);
    }
  }
  for (var half = LANES / 2u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if lane < half {
      merge(thread, tokens[thread + half], bests[thread + half]);
    }
  }
  workgroupBarrier();
  if thread > 0u {
    return;
  }
  for (var i = 0u; i < min(p.rows, ROWS); i++) {
    let drawn = tokens[i * LANES];
    state[1] += 1u;
    if drawn.x == NONE || drawn.y != NONE {
      state[0] = NONE;
      state[2] = drawn.y;
      return;
    }
    state[0] = drawn.x;
    state[2] += 1u;
    if i + 1u == p.rows || inputs[min(i + 1u, p.rows - 1u)] != drawn.x {
      return;
    }
  }
}
