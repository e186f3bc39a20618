// Logits with bias and penalties, and the random number of each token.
const FORBIDDEN = 0xff800000u; // minus infinity
const MOST = 3e36; // a logit that no repetition penalty makes infinite

// Words, because WGSL arithmetic may assume that there is no NaN and no infinity.
@group(0) @binding(1) var<storage, read> logits: array<u32>; // [vocab], or rows of it
@group(0) @binding(2) var<storage, read> state: array<u32>; // token, position, tokens drawn, ..
@group(0) @binding(5) var<storage, read> adjust: array<vec2f>; // [vocab] bias, times drawn
@group(0) @binding(6) var<storage, read> mask: array<u32>; // [rows, vocab / 32] a bit for each token that may come

fn token_of(chunk: u32, round: u32) -> u32 {
  return (chunk / 64u * p.rounds + round) * 64u + chunk % 64u;
}

// NaN or plus infinity.
fn is_unusable(word: u32) -> bool {
  return (word & 0x7fffffffu) >= 0x7f800000u && word != FORBIDDEN;
}

// Returns true if the mask excludes a token; `row` counts from p.row on.
fn is_masked(row: u32, token: u32) -> bool {
  return p.masked == 1u && ((mask[row * ((p.vocab + 31u) / 32u) + token / 32u] >> (token % 32u)) & 1u) == 0u;
}

fn adjusted(token: u32, word: u32) -> f32 {
  let x = bitcast<f32>(word);
  if p.adjusts == 0u {
    return x;
  }
  let a = adjust[token];
  let drawn = floor(a.y);
  let penalised = clamp(x, -MOST, MOST) * select(p.repeated.y, p.repeated.x, x > 0.0);
  return select(x, penalised, a.y > 0.0 && p.repeated.y != 1.0) + a.x - select(0.0, drawn * p.frequency + p.presence, drawn > 0.0);
}

// Jarzynski and Olano 2020, Hash Functions for GPU Rendering, https://jcgt.org/published/0009/03/02/
fn pcg4d(key: vec4u) -> vec4u {
  var v = key * 1664525u + 1013904223u;
  for (var turn = 0u; turn < 2u; turn++) {
    v.x += v.y * v.w;
    v.y += v.z * v.x;
    v.z += v.x * v.y;
    v.w += v.y * v.z;
    if turn == 0u {
      v ^= v >> vec4u(16u);
    }
  }
  return v;
}

// A standard Gumbel number, -ln(-ln(1 - u)). Winners of a race have a small u, which therefore has 64 bits; ln(1 - u) is a series in s = u / (2 -
// u), which keeps its relative precision.
fn gumbel(token: u32, drawn: u32) -> f32 {
  const SCALE = 1.0 / 4294967296.0;
  let bits = pcg4d(vec4u(token, drawn, p.seed)).xy;
  let u = (f32(bits.x) + (f32(bits.y) + 0.5) * SCALE) * SCALE;
  if u < 0.5 {
    let s = u / (2.0 - u);
    let q = s * s;
    let series = 1.0 + q * (1.0 / 3.0 + q * (0.2 + q * (1.0 / 7.0 + q * (1.0 / 9.0 + q * (1.0 / 11.0 + q / 13.0)))));
    return -log(2.0 * s * series);
  }
  let rest = (f32(~bits.x) + (f32(~bits.y) + 0.5) * SCALE) * SCALE;
  return -log(-log(rest));
}

// Probability relative to that of the largest logit, for which it is exactly 1.
fn weight(x: f32, largest: f32) -> f32 {
  return select(exp((x - largest) / p.temperature), 1.0, x == largest);
}
