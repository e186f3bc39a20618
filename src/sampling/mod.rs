//! Sampling options, and log probabilities of the model's own distribution, without temperature, bias or filter. Tokens are drawn on the GPU by
//! [`crate::kernels::sample`]; [`crate::reference::sample`] is the definition.

mod defaults;
pub mod options;

pub use defaults::SamplingDefaults;
pub use options::{Past, SamplingOptions};

use std::cmp::Ordering;

/// The `n` most likely tokens with their log probabilities, most likely first; for equal probabilities, the lower id first.
///
/// Sums are in f64. A logit of minus infinity has log probability minus infinity; NaN anywhere makes all results NaN.
pub fn log_softmax_top(logits: &[f32], n: usize) -> Vec<(u32, f32)> {
    let n = n.min(logits.len());
    if n == 0 {
        return Vec::new();
    }
    let log_softmax = log_softmax(logits);
    let likelier = |a: &(u32, f32), b: &(u32, f32)| -> Ordering { b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)) };
    let mut top: Vec<(u32, f32)> = (0..).zip(logits.iter().copied()).collect();
    top.select_nth_unstable_by(n - 1, likelier);
    top.truncate(n);
    top.sort_unstable_by(likelier);
    top.iter_mut().for_each(|(_, value)| *value = log_softmax(*value));
    top
}

/// The log probability of one token; minus infinity for an id beyond the logits.
pub fn logprob(logits: &[f32], id: u32) -> f32 {
    match logits.get(id as usize) {
        Some(&logit) => log_softmax(logits)(logit),
        None => f32::NEG_INFINITY,
    }
}

/// Returns a function from a logit to its log probability.
fn log_softmax(logits: &[f32]) -> impl Fn(f32) -> f32 {
    let max = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let sum: f64 = logits.iter().map(|&logit| (f64::from(logit) - max).exp()).sum();
    let log_sum = sum.ln();
    move |logit| (f64::from(logit) - max - log_sum) as f32
}
