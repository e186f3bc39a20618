// Draws among the tokens that pass top_k, top_p and min_p, in this order. One workgroup, exact: a filter keeps what lies above
// a cut, which is found by counting tokens, or adding their weights in integers, in 256 bins, then within a bin, and so on. Only
// chunks whose largest logit can matter are read. The winner becomes the first partial result.
var<workgroup> unusable: atomic<u32>;
var<workgroup> scores: array<f32, THREADS>;
var<workgroup> winners: array<u32, THREADS>;

// A key that the last token of the nucleus cannot be below: all that is below it together is less likely than what may be left.
fn least_of_nucleus(total: vec2u) -> u32 {
  let share = 0.99 * p.tail * from_fixed(total) / f32(min(p.top_k, p.vocab));
  let x = largest + p.temperature * log(max(share, 1e-20));
  return max(cut.x, key_of(max(x - abs(x) * 2.5e-7, LOWEST)));
}

fn keep_nucleus(lane: u32) {
  evaluate(lane, select(CHUNKS, TOKENS, (p.filters & 1u) != 0u));
  let total = bin(0u);
  let least = least_of_nucleus(total);
  gather(lane, least, p.gap);
  var share = share_of(total, p.top_p);
  if less(share, vec2u(1u, 0u)) {
    share.x = 1u;
  }
  cut_at(lane, share, true, least);
}

fn keep_likeliest(lane: u32) {
  let count = vec2u(p.top_k, 0u);
  if lane == 0u {
    wanted = count;
  }
  search(lane, CHUNKS, false, 0u, atomicLoad(&top));
  // So many chunks hold a token above it.
  let least = select(0u, base, found == 1u);
  gather(lane, least, LOWEST);
  cut_at(lane, count, false, least);
}

// The race among what is left. Its outcome does not depend on the order in which chunks were listed.
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
    cut = vec2u(0u, NONE);
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
  gather(lane, cut.x, p.gap);
  race(lane);
  if lane == 0u {
    words[0] = vec2u(winners[0], atomicLoad(&unusable));
  }
}
