// One partial result for each chunk of a vocabulary: the winning token, or, if filters follow, the token with the largest logit and the weight of
// the chunk; and the first logit that is not a number. No barrier: each lane has its own chunk. Rows of logits are scanned in parallel.
//: use sampling logits

@group(0) @binding(3) var<storage, read_write> words: array<vec2u>; // [rows, chunks] token or NONE; first unusable token * 2 + is NaN, or NONE
@group(0) @binding(4) var<storage, read_write> values: array<vec2f>; // [rows, chunks] logit; its Gumbel number, or the weight of the chunk

struct Best { logit: f32, luck: f32, token: u32, unusable: u32 }

// Updates `best` with a token of a higher id. Ids past the vocabulary are forbidden.
fn meet(best: Best, id: u32, word: u32, races: bool, adjusts: bool, drawn: u32) -> Best {
  var next = best;
  if is_unusable(word) {
    next.unusable = min(best.unusable, id * 2u + u32((word & 0x7fffffu) != 0u));
  } else if word != FORBIDDEN {
    var x = bitcast<f32>(word);
    if adjusts {
      x = adjusted(id, word);
    }
    var luck = 0.0;
    var wins = x > best.logit;
    if races {
      luck = gumbel(id, drawn);
      wins = beats(x, luck, best.logit, best.luck);
    }
    if wins || best.token == NONE {
      next = Best(x, luck, id, best.unusable);
    }
  }
  return next;
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) thread: vec3u) {
  let chunk = thread.x;
  let row = (p.row + thread.y) * p.vocab;
  if chunk >= p.chunks {
    return;
  }
  let drawn = state[2];
  let races = p.greedy == 0u && p.filters == 0u;
  let adjusts = p.adjusts == 1u;
  let first = token_of(chunk, 0u);
  let end = min(first + p.rounds * 64u, p.vocab);
  var best = Best(0.0, 0.0, NONE, NONE);
  // Four at a time, so that their loads overlap.
  for (var id = first; id < end; id += 256u) {
    let ids = id + vec4u(0u, 64u, 128u, 192u);
    let inside = ids < vec4u(end);
    let nearest = min(ids, vec4u(end - 1u));
    let read = vec4u(logits[row + nearest.x], logits[row + nearest.y], logits[row + nearest.z], logits[row + nearest.w]);
    var four = select(vec4u(FORBIDDEN), read, inside);
    if p.masked == 1u {
      four = select(four, vec4u(FORBIDDEN), masked(thread.y, nearest));
    }
    best = meet(best, ids.x, four.x, races, adjusts, drawn);
    best = meet(best, ids.y, four.y, races, adjusts, drawn);
    best = meet(best, ids.z, four.z, races, adjusts, drawn);
    best = meet(best, ids.w, four.w, races, adjusts, drawn);
  }
  if p.filters != 0u {
    best.luck = weight_of(thread.y, chunk, best.logit);
  }
  words[thread.y * p.chunks + chunk] = vec2u(best.token, best.unusable);
  values[thread.y * p.chunks + chunk] = vec2f(best.logit, best.luck);
}

fn masked(row: u32, ids: vec4u) -> vec4<bool> {
  return vec4(is_masked(row, ids.x), is_masked(row, ids.y), is_masked(row, ids.z), is_masked(row, ids.w));
}

// Sum of exp((logit - largest) / temperature).
fn weight_of(row: u32, chunk: u32, largest: f32) -> f32 {
  var sum = 0.0;
  let first = token_of(chunk, 0u);
  let end = min(first + p.rounds * 64u, p.vocab);
  for (var id = first; id < end; id += 64u) {
    let word = logits[(p.row + row) * p.vocab + id];
    if word != FORBIDDEN && !is_unusable(word) && !is_masked(row, id) {
      sum += weight(adjusted(id, word), largest);
    }
  }
  return sum;
}
