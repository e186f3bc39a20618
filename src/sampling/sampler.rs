//! Draws one token after another.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::options::SamplingOptions;
use super::rng::Rng;
use crate::error::{Error, Result};

/// Candidates looked at first when a nucleus is cut; it is rarely larger.
const NUCLEUS_GUESS: usize = 64;

/// The state of sampling one answer: options, random stream, and which tokens were drawn so far.
#[derive(Debug, Clone)]
pub struct Sampler {
    options: SamplingOptions,
    rng: Rng,
    /// How often each token was drawn.
    drawn: BTreeMap<u32, u32>,
    /// Logits with bias and penalties, kept to be reused. // [vocab]
    adjusted: Vec<f32>,
}

/// A token and its probability relative to the likeliest token's.
type Candidate = (u32, f64);

impl Sampler {
    /// A sampler for one answer.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] for an option out of its range.
    pub fn new(options: SamplingOptions) -> Result<Self> {
        options.validate()?;
        Ok(Self { rng: Rng::new(options.seed), options, drawn: BTreeMap::new(), adjusted: Vec::new() })
    }

    /// Chooses the next token from its logits `[vocab]`; minus infinity forbids a token.
    ///
    /// Bias and penalties are added first, then the temperature applies, then `top_k`, `top_p` and `min_p` in this order,
    /// as in Hugging Face `transformers`. At temperature 0 the likeliest token is taken, of equals the lowest id, and no
    /// random number is used.
    ///
    /// # Errors
    /// [`Error::Gpu`] for logits that are NaN, plus infinity or all minus infinity, [`Error::InvalidRequest`] for a bias on
    /// a token the model does not have.
    pub fn sample(&mut self, logits: &[f32]) -> Result<u32> {
        self.adjust(logits)?;
        let best = argmax(&self.adjusted).ok_or_else(|| unusable("every token is forbidden".into()))?;
        let token = if self.options.temperature == 0.0 { best } else { self.draw(best) };
        *self.drawn.entry(token).or_default() += 1;
        Ok(token)
    }

    fn adjust(&mut self, logits: &[f32]) -> Result<()> {
        if let Some(id) = logits.iter().position(|logit| logit.is_nan() || *logit == f32::INFINITY) {
            return Err(unusable(format!("the logit of token {id} is {}", logits[id])));
        }
        self.adjusted.clear();
        self.adjusted.extend_from_slice(logits);
        for (&id, &bias) in &self.options.logit_bias {
            let unknown = || Error::request(format!("logit_bias.{id}"), "the model has no such token");
            *self.adjusted.get_mut(id as usize).ok_or_else(unknown)? += bias;
        }
        for (&id, &count) in &self.drawn {
            if let Some(logit) = self.adjusted.get_mut(id as usize) {
                *logit -= count as f32 * self.options.frequency_penalty + self.options.presence_penalty;
            }
        }
        Ok(())
    }

    fn draw(&mut self, best: u32) -> u32 {
        let candidates = self.candidates(best);
        let total: f64 = candidates.iter().map(|(_, weight)| weight).sum();
        let mut left = self.rng.next_f64() * total;
        for &(id, weight) in &candidates {
            if left < weight {
                return id;
            }
            left -= weight;
        }
        // Rounding may leave a sliver beyond the last candidate.
        candidates.iter().rev().find(|(_, weight)| *weight > 0.0).map_or(best, |(id, _)| *id)
    }

    /// The tokens that pass every filter, by id.
    fn candidates(&self, best: u32) -> Vec<Candidate> {
        let options = &self.options;
        let temperature = f64::from(options.temperature);
        let max = f64::from(self.adjusted[best as usize]);
        let weight = |&logit: &f32| ((f64::from(logit) - max) / temperature).exp();
        let mut kept: Vec<Candidate> = (0..).zip(self.adjusted.iter().map(weight)).collect();
        if let Some(k) = options.top_k.filter(|&k| k < kept.len()) {
            kept.select_nth_unstable_by(k - 1, likelier);
            kept.truncate(k);
        }
        if options.top_p < 1.0 {
            cut_nucleus(&mut kept, f64::from(options.top_p));
        }
        // The likeliest token's weight is 1.
        kept.retain(|&(_, weight)| weight >= f64::from(options.min_p));
        kept.sort_unstable_by_key(|&(id, _)| id);
        kept
    }
}

fn unusable(detail: String) -> Error {
    Error::Gpu { stage: "logits".into(), detail }
}

/// Keeps the fewest of the likeliest candidates that reach `top_p` of the whole weight.
fn cut_nucleus(kept: &mut Vec<Candidate>, top_p: f64) {
    let wanted = top_p * kept.iter().map(|(_, weight)| weight).sum::<f64>();
    let mut guess = NUCLEUS_GUESS;
    loop {
        let head = guess.min(kept.len());
        if head < kept.len() {
            kept.select_nth_unstable_by(head - 1, likelier);
        }
        kept[..head].sort_unstable_by(likelier);
        let mut reached = 0.0;
        let last = kept[..head].iter().position(|(_, weight)| {
            reached += weight;
            reached >= wanted
        });
        match last {
            Some(last) => return kept.truncate(last + 1),
            None if head == kept.len() => return,
            None => guess *= 8,
        }
    }
}

/// Likelier candidates first; of equals the lower id.
fn likelier(a: &Candidate, b: &Candidate) -> Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

/// The lowest id among the largest logits; none when every token is forbidden.
fn argmax(logits: &[f32]) -> Option<u32> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    (0..).zip(logits).find(|&(_, &logit)| logit == largest && logit > f32::NEG_INFINITY).map(|(id, _)| id)
}
