// Draws among the tokens that pass top_k, top_p and min_p, in this order. One workgroup, exact: a filter keeps the tokens above a threshold, which
// is found with a histogram of their number, or of their weights as integers, then with one of a single bin, and so on. Only chunks whose largest
// logit can matter are read. The winner replaces the first partial result.
//: use threshold

var<workgroup> unusable: atomic<u32>;
var<workgroup> scores: array<f32, THREADS>;
var<workgroup> winners: array<u32, THREADS>;

// Lower bound of the key of the last token that top_p keeps: the probability of all tokens below it is less than the share that may be left out.
fn lowest_of_nucleus(total: vec2u) -> u32 {
  let share = 0.99 * p.tail * from_fixed(total) / f32(min(p.top_k, p.vocab));
  let x = largest + p.temperature * log(max(share, 1e-20));
  return max(threshold.x, key_of(max(x - abs(x) * 2.5e-7, LOWEST)));
}

fn keep_nucleus(lane: u32) {
  sum_weights(lane, select(CHUNKS, TOKENS, (p.filters & 1u) != 0u));
  let total = bin(0u);
  let lowest = lowest_of_nucleus(total);
  gather(lane, lowest, p.gap);
  var share = share_of(total, p.top_p);
  if less(share, vec2u(1u, 0u)) {
    share.x = 1u;
  }
  move_threshold(lane, share, true, lowest);
}

fn keep_likeliest(lane: u32) {
  let count = vec2u(p.top_k, 0u);
  if lane == 0u {
    wanted = count;
  }
  search(lane, CHUNKS, false, 0u, atomicLoad(&top));
  // At least top_k tokens are above it, since that many chunks have their largest logit there.
  let lowest = select(0u, base, found == 1u);
  gather(lane, lowest, LOWEST);
  move_threshold(lane, count, false, lowest);
}

// The race among the remaining tokens. Its outcome does not depend on the order of the listed chunks.
fn race(lane: u32) {
  let drawn = state[2];
  let count = atomicLoad(&lives);
  var best = LOWEST;
  var winner = NONE;
  for (var i = lane; i < count * p.rounds; i += THREADS) {
    let token = token_at(i, count);
    if token.stays && token.x - largest >= p.gap {
      let score = max((token.x - largest) / p.temperature, LOWEST / 2.0) + gumbel(token.id, drawn);
      if score > best || (score == best && token.id < winner) {
        best = score;
        winner = token.id;
      }
    }
  }
  scores[lane] = best;
  winners[lane] = winner;
  for (var half = THREADS / 2u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if lane < half {
      let other = scores[lane + half];
      let id = winners[lane + half];
      if other > scores[lane] || (other == scores[lane] && id < winners[lane]) {
        scores[lane] = other;
        winners[lane] = id;
      }
    }
  }
}

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) lane: u32) {
  if lane == 0u {
    atomicStore(&unusable, NONE);
    atomicStore(&top, 0u);
    threshold = vec2u(0u, NONE);
  }
  workgroupBarrier();
  for (var chunk = lane; chunk < p.chunks; chunk += THREADS) {
    let word = words[chunk];
    atomicMin(&unusable, word.y);
    if word.x != NONE {
      atomicMax(&top, key_of(values[chunk].x));
    }
  }
  workgroupBarrier();
  largest = of_key(atomicLoad(&top));
  if (p.filters & 1u) != 0u {
    keep_likeliest(lane);
  }
  if (p.filters & 2u) != 0u {
    keep_nucleus(lane);
  }
  gather(lane, threshold.x, p.gap);
  race(lane);
  if lane == 0u {
    words[0] = vec2u(winners[0], atomicLoad(&unusable));
  }
}
