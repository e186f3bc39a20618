// Parameters of the sampling kernels. A vocabulary is divided into chunks: a chunk is read by one lane of a workgroup of 64, and neighbouring lanes
// read neighbouring logits.
struct Params {
  vocab: u32,
  rounds: u32, // tokens of a chunk
  chunks: u32,
  candidates: u32, // partial results that `sample` chooses from
  greedy: u32, // 1: the largest logit wins, without a race
  filters: u32, // bit 0: top_k, bit 1: top_p, bit 2: min_p
  adjusts: u32, // 1: bias or penalties
  top_k: u32,
  seed: vec2u,
  top_p: u32, // in 2^-32
  tail: f32, // 1 - top_p
  temperature: f32,
  frequency: f32,
  presence: f32,
  gap: f32, // temperature * ln(min_p): how far below the largest logit min_p reaches
  row: u32, // the first row of logits that is looked at
  masked: u32, // 1: only tokens of the mask
  repeated: vec2f, // factors of the positive and of the other logits of tokens that were seen
}

const NONE = 0xffffffffu;

@group(0) @binding(0) var<uniform> p: Params;

// Returns true if logit `a` with Gumbel number `ga` wins over `b` with `gb`. Differences are compared, which lose no precision for large logits.
fn beats(a: f32, ga: f32, b: f32, gb: f32) -> bool {
  if p.greedy == 1u {
    return a > b;
  }
  return (a - b) / p.temperature > gb - ga;
}
