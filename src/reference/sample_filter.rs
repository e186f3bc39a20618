//! The draw among tokens that pass `top_k`, `top_p` and `min_p`, by sorting all tokens and cutting the list in this order.

use super::sample_scan::{Logits, NONE, gumbel, tempered};
use crate::sampling::options::SamplingOptions;

/// The remaining tokens with their logits, likeliest first; of equal ones, the lower id first.
pub fn kept(options: &SamplingOptions, logits: Logits<'_>) -> Vec<(u32, f64)> {
    let logit = |id: u32| logits.usable(options, id as usize).map(|logit| (id, f64::from(logit)));
    let mut kept: Vec<(u32, f64)> = (0..logits.raw.len() as u32).filter_map(logit).collect();
    // Both zeros are equal, and the sort is stable.
    kept.sort_by(|a, b| b.1.partial_cmp(&a.1).unwrap_or(std::cmp::Ordering::Equal));
    let Some(&(_, largest)) = kept.first() else { return kept };
    let weight = |logit: f64| tempered(options, logit - largest).exp();
    kept.truncate(options.top_k.unwrap_or(usize::MAX));
    if options.top_p < 1.0 {
        let wanted = f64::from(options.top_p) * kept.iter().map(|&(_, logit)| weight(logit)).sum::<f64>();
        let mut reached = 0.0;
        let before = |&(_, logit): &(u32, f64)| {
            let is_needed = reached < wanted;
            reached += weight(logit);
            is_needed
        };
        let needed = kept.iter().copied().take_while(before).count();
        kept.truncate(needed.max(1));
    }
    if options.min_p > 0.0 {
        let gap = f64::from(options.temperature.max(1e-37)) * f64::from(options.min_p).ln();
        kept.retain(|&(_, logit)| (logit - largest) as f32 >= gap as f32);
    }
    kept
}

/// The winner of the race among the tokens `kept`, or [`NONE`].
pub fn winner(options: &SamplingOptions, drawn: u32, kept: &[(u32, f64)]) -> u32 {
    let mut best = (f64::NEG_INFINITY, NONE);
    let largest = kept.first().map_or(0.0, |&(_, logit)| logit);
    for &(id, logit) in kept {
        let score = tempered(options, logit - largest) + gumbel(options.seed, drawn, id);
        if score > best.0 || (score == best.0 && id < best.1) {
            best = (score, id);
        }
    }
    best.1
}

/// Replaces the first partial result by the winner and the first unusable logit of all. `words`: `// [chunks, 2]`
pub fn compute(options: &SamplingOptions, drawn: u32, logits: Logits<'_>, words: &mut [[u32; 2]]) {
    let unusable = words.iter().map(|word| word[1]).min().unwrap_or(NONE);
    if let Some(first) = words.first_mut() {
        *first = [winner(options, drawn, &kept(options, logits)), unusable];
    }
}
