//! The race of tokens in the chunks of a vocabulary.

use crate::sampling::options::SamplingOptions;

/// Marks the absence of a token.
pub const NONE: u32 = u32::MAX;
/// Added to the count of draws of a token in the prompt.
pub const SEEN: f32 = 0.5;

/// A logit that no repetition penalty makes infinite.
const MOST: f32 = 3e36;

/// Factors of the positive and of the other logits of tokens that were seen: Keskar et al. 2019, CTRL, <https://arxiv.org/abs/1909.05858>, 4.1,
/// as in `RepetitionPenaltyLogitsProcessor` of `transformers`.
pub fn repeated(penalty: f32) -> [f32; 2] {
    [1.0 / penalty, penalty]
}

/// Returns true if the options exclude some tokens beforehand.
pub fn filters(options: &SamplingOptions, vocab: usize) -> bool {
    let is_on = options.top_k.is_some_and(|top_k| top_k < vocab) || options.top_p < 1.0 || options.min_p > 0.0;
    is_on && !is_greedy(options, vocab)
}

/// Returns true if the likeliest token is taken without a race.
pub fn is_greedy(options: &SamplingOptions, vocab: usize) -> bool {
    options.temperature == 0.0 || options.top_k.unwrap_or(vocab) <= 1 || options.top_p == 0.0
}

/// Returns true if a logit with its Gumbel number wins over another. Differences are compared, which lose no precision at small
/// temperatures.
pub fn beats(options: &SamplingOptions, (a, luck): (f64, f64), (b, other): (f64, f64)) -> bool {
    tempered(options, a - b) > other - luck
}

/// A logit divided by the temperature.
pub fn tempered(options: &SamplingOptions, logit: f64) -> f64 {
    logit / f64::from(options.temperature.max(1e-37))
}

/// Logits with the adjustments and the mask of each token.
#[derive(Debug, Clone, Copy)]
pub struct Logits<'a> {
    /// The model's logits. `// [vocab]`
    pub raw: &'a [f32],
    /// Bias, and how often the token was drawn, [`SEEN`] more if the prompt contains it. `// [vocab, 2]` or empty
    pub adjust: &'a [[f32; 2]],
    /// A bit for each allowed token. `// [vocab / 32]`, or empty if all are allowed
    pub mask: &'a [u32],
}

impl Logits<'_> {
    /// Returns true if the mask excludes a token.
    fn is_masked(&self, id: usize) -> bool {
        self.mask.get(id / 32).is_some_and(|word| word >> (id % 32) & 1 == 0)
    }

    /// The logit with bias and penalties; `None` for tokens that are forbidden, masked or unusable.
    pub fn usable(&self, options: &SamplingOptions, id: usize) -> Option<f32> {
        let raw = *self.raw.get(id).filter(|logit| logit.is_finite() && !self.is_masked(id))?;
        let [bias, drawn] = self.adjust.get(id).copied().unwrap_or_default();
        let is_penalised = drawn > 0.0 && options.penalises_repetition();
        let factor = repeated(options.repetition_penalty)[usize::from(raw <= 0.0)];
        let raw = if is_penalised { raw.clamp(-MOST, MOST) * factor } else { raw };
        let drawn = drawn.floor();
        let penalty = if drawn > 0.0 { drawn * options.frequency_penalty + options.presence_penalty } else { 0.0 };
        Some(raw + bias - penalty)
    }

    /// Twice the id of an unmasked token whose logit is NaN or plus infinity, plus 1 for NaN; otherwise [`NONE`].
    pub fn unusable(&self, id: usize) -> u32 {
        let code = |logit: &f32| if logit.is_nan() { 1 } else { 0 } + 2 * id as u32;
        let is_unusable = |logit: &&f32| !self.is_masked(id) && (logit.is_nan() || **logit == f32::INFINITY);
        self.raw.get(id).filter(is_unusable).map_or(NONE, code)
    }
}

/// Jarzynski and Olano 2020, Hash Functions for GPU Rendering, <https://jcgt.org/published/0009/03/02/>.
pub fn pcg4d(key: [u32; 4]) -> [u32; 4] {
    let mut v = key.map(|word| word.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    let mix = |v: &mut [u32; 4]| {
        for (to, a, b) in [(0, 1, 3), (1, 2, 0), (2, 0, 1), (3, 1, 2)] {
            v[to] = v[to].wrapping_add(v[a].wrapping_mul(v[b]));
        }
    };
    mix(&mut v);
    v = v.map(|word| word ^ word >> 16);
    mix(&mut v);
    v
}

/// The standard Gumbel number of a token: `-ln(-ln(1 - u))`, with 64 bits of `u`.
pub fn gumbel(seed: u64, drawn: u32, token: u32) -> f64 {
    let [high, low, ..] = pcg4d([token, drawn, seed as u32, (seed >> 32) as u32]);
    let u = (f64::from(high) + (f64::from(low) + 0.5) / 2f64.powi(32)) / 2f64.powi(32);
    -(-(-u).ln_1p()).ln()
}

/// For each chunk the winner or [`NONE`] and the first unusable token or [`NONE`]; the winner's logit and its Gumbel number, or, if options
/// filter, the sum of `exp((logit - largest) / temperature)`.
///
/// A chunk holds the tokens that one of 64 lanes reads in `rounds` rounds. `words`, `values`: `// [chunks, 2]`
pub fn compute(
    options: &SamplingOptions,
    drawn: u32,
    logits: Logits<'_>,
    rounds: usize,
    words: &mut [[u32; 2]],
    values: &mut [[f32; 2]],
) {
    let filters = filters(options, logits.raw.len());
    let races = !is_greedy(options, logits.raw.len()) && !filters;
    for (chunk, (word, value)) in words.iter_mut().zip(values).enumerate() {
        let ids = || (0..rounds).map(|round| (chunk / 64 * rounds + round) * 64 + chunk % 64);
        let luck = |id: usize| if races { gumbel(options.seed, drawn, id as u32) } else { 0.0 };
        (*word, *value) = ([NONE; 2], [0.0; 2]);
        let mut best = (0.0, 0.0);
        for id in ids() {
            word[1] = word[1].min(logits.unusable(id));
            let Some(logit) = logits.usable(options, id) else { continue };
            let next = (f64::from(logit), luck(id));
            if word[0] == NONE || beats(options, next, best) {
                best = next;
                (word[0], *value) = (id as u32, [logit, next.1 as f32]);
            }
        }
        if filters {
            let largest = f64::from(value[0]);
            let usable = ids().filter_map(|id| logits.usable(options, id));
            value[1] = usable.map(|logit| tempered(options, f64::from(logit) - largest).exp()).sum::<f64>() as f32;
        }
    }
}
