// The tokens above a threshold, and the search for it.
//: use sampling logits histogram

@group(0) @binding(3) var<storage, read_write> words: array<vec2u>; // [chunks] token or NONE; unusable token or NONE
@group(0) @binding(4) var<storage, read> values: array<vec2f>; // [chunks] largest logit, weight of all

const THREADS = BINS;
const MAX_CHUNKS = 2048u;
// Items of a histogram: largest logits of chunks by key; tokens by key; tokens with the threshold's key by id, lowest first.
const CHUNKS = 0u;
const TOKENS = 1u;
const TIES = 2u;
const LOWEST = -3.4028234663852886e38;

var<workgroup> live: array<u32, MAX_CHUNKS>;
var<workgroup> lives: atomic<u32>;
var<workgroup> top: atomic<u32>; // key of the largest logit
var<workgroup> threshold: vec2u; // key, and the last token that stays of those with this key

var<private> largest: f32;

// Lists the chunks with a key of at least `key` whose largest logit is at most `gap` below that of all chunks.
fn gather(lane: u32, key: u32, gap: f32) {
  workgroupBarrier();
  if lane == 0u {
    atomicStore(&lives, 0u);
  }
  workgroupBarrier();
  for (var chunk = lane; chunk < p.chunks; chunk += THREADS) {
    let x = values[chunk].x;
    if words[chunk].x != NONE && key_of(x) >= key && x - largest >= gap {
      live[atomicAdd(&lives, 1u)] = chunk;
    }
  }
  workgroupBarrier();
}

struct Token { id: u32, x: f32, stays: bool }

// Token `i` of the listed chunks and its position relative to the threshold. Neighbouring indices are in neighbouring chunks.
fn token_at(i: u32, count: u32) -> Token {
  let id = token_of(live[i % count], i / count);
  if id >= p.vocab {
    return Token(id, 0.0, false);
  }
  let word = logits[p.row * p.vocab + id];
  if word == FORBIDDEN || is_unusable(word) || is_masked(0u, id) {
    return Token(id, 0.0, false);
  }
  let x = adjusted(id, word);
  let key = key_of(x);
  return Token(id, x, key > threshold.x || (key == threshold.x && id <= threshold.y));
}

fn amount_of(x: f32, by_weight: bool) -> vec2u {
  if by_weight {
    return fixed(weight(x, largest));
  }
  return vec2u(1u, 0u);
}

fn fill(lane: u32, among: u32, by_weight: bool) {
  let count = atomicLoad(&lives);
  let items = select(count * p.rounds, p.chunks, among == CHUNKS);
  for (var i = lane; i < items; i += THREADS) {
    var key = 0u;
    var amount = vec2u(1u, 0u);
    if among == CHUNKS {
      if words[i].x == NONE {
        continue;
      }
      key = key_of(values[i].x);
    } else {
      let token = token_at(i, count);
      key = key_of(token.x);
      if !token.stays || (among == TIES && key != threshold.x) {
        continue;
      }
      if among == TIES {
        key = p.vocab - 1u - token.id;
      }
      amount = amount_of(token.x, by_weight);
    }
    if key >= base && key - base <= last {
      add_to_bin((key - base) >> shift, amount);
    }
  }
}

// Finds the largest key at which the tokens with this key and those above reach `wanted`. If there is one, `found` is 1, `base` the key and
// `wanted` the amount still missing above it.
fn search(lane: u32, among: u32, by_weight: bool, from_key: u32, to_key: u32) {
  if lane == 0u {
    base = from_key;
    last = to_key - from_key;
    shift = max(32u - countLeadingZeros(last), 8u) - 8u;
    searching = 1u;
    found = 0u;
  }
  // Bounded, so that no fault of a driver makes it endless.
  for (var round = 0u; round <= MAX_ROUNDS; round++) {
    if workgroupUniformLoad(&searching) == 0u {
      break;
    }
    clear(lane);
    workgroupBarrier();
    fill(lane, among, by_weight);
    workgroupBarrier();
    if lane < 16u {
      sum_bins(lane);
    }
    workgroupBarrier();
    if lane == 0u {
      narrow();
    }
  }
}

// Moves the threshold to the point where the tokens of the listed chunks reach `amount`; of equal logits, the lowest ids come first. If they never
// do, it stays. Keys below `lowest_key` are not read.
fn move_threshold(lane: u32, amount: vec2u, by_weight: bool, lowest_key: u32) {
  if lane == 0u {
    wanted = amount;
  }
  search(lane, TOKENS, by_weight, lowest_key, atomicLoad(&top));
  if lane == 0u && found == 1u {
    threshold = vec2u(base, select(NONE, threshold.y, base == threshold.x));
    // Without one of the tokens with this key the amount may still be reached.
    let rest = subtract(at_base, amount_of(of_key(base), by_weight));
    found = u32(!less(rest, wanted));
  }
  if workgroupUniformLoad(&found) == 1u {
    search(lane, TIES, by_weight, 0u, p.vocab - 1u);
    if lane == 0u {
      threshold.y = p.vocab - 1u - base;
    }
  }
  workgroupBarrier();
}

// Adds the weights of the listed tokens above the threshold, or of all chunks, in bin 0.
fn sum_weights(lane: u32, among: u32) {
  workgroupBarrier();
  clear(lane);
  workgroupBarrier();
  let count = atomicLoad(&lives);
  var sum = vec2u();
  if among == CHUNKS {
    for (var i = lane; i < p.chunks; i += THREADS) {
      if words[i].x != NONE {
        sum = add(sum, fixed(values[i].y * weight(values[i].x, largest)));
      }
    }
  } else {
    for (var i = lane; i < count * p.rounds; i += THREADS) {
      let token = token_at(i, count);
      if token.stays {
        sum = add(sum, fixed(weight(token.x, largest)));
      }
    }
  }
  add_to_bin(0u, sum);
  workgroupBarrier();
}
