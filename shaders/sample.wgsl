// Chooses the next token among partial results, writes it for the following step and counts it for penalties. One workgroup.
//: use sampling

@group(0) @binding(1) var<storage, read> words: array<vec2u>; // [candidates] token or NONE; unusable token or NONE
@group(0) @binding(2) var<storage, read> values: array<vec2f>; // [candidates] logit, its Gumbel number
@group(0) @binding(3) var<storage, read_write> state: array<u32>; // token, position, tokens drawn, ..
@group(0) @binding(4) var<storage, read_write> adjust: array<vec2f>; // [vocab] bias, times drawn

const THREADS = 256u;

var<workgroup> tokens: array<vec2u, THREADS>;
var<workgroup> bests: array<vec2f, THREADS>;

// Keeps the better of two candidates; of equal ones, the lower token id.
fn merge(lane: u32, other: vec2u, other_best: vec2f) {
  let own = tokens[lane];
  let best = bests[lane];
  tokens[lane].y = min(own.y, other.y);
  if other.x == NONE {
    return;
  }
  let wins = beats(other_best.x, other_best.y, best.x, best.y);
  let loses = beats(best.x, best.y, other_best.x, other_best.y);
  if own.x == NONE || wins || (!loses && other.x < own.x) {
    tokens[lane].x = other.x;
    bests[lane] = other_best;
  }
}

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) lane: u32) {
  tokens[lane] = vec2u(NONE);
  for (var i = lane; i < p.candidates; i += THREADS) {
    merge(lane, words[i], values[i]);
  }
  for (var half = THREADS / 2u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if lane < half {
      merge(lane, tokens[lane + half], bests[lane + half]);
    }
  }
  if lane > 0u {
    return;
  }
  let token = tokens[0].x;
  let unusable = tokens[0].y;
  state[1] += 1u;
  if token == NONE || unusable != NONE {
    state[0] = NONE;
    state[2] = unusable;
    return;
  }
  state[0] = token;
  state[2] += 1u;
  if p.adjusts == 1u {
    adjust[token].y += 1.0;
  }
}
