//! The draw among tokens that pass `top_k`, `top_p` and `min_p`: all sorted, then cut, in this order.

use super::sample_scan::{Logits, NONE, Rules, gumbel};

/// The tokens that stay with their logits, likeliest first; of equals the lower id.
pub fn kept(rules: &Rules, logits: Logits<'_>) -> Vec<(u32, f64)> {
    let logit = |id: u32| logits.usable(rules, id as usize).map(|logit| (id, f64::from(logit)));
    let mut kept: Vec<(u32, f64)> = (0..logits.raw.len() as u32).filter_map(logit).collect();
    // Both zeros are equal, and sorting keeps the order of equals.
    kept.sort_by(|a, b| b.1.partial_cmp(&a.1).unwrap_or(std::cmp::Ordering::Equal));
    let Some(&(_, largest)) = kept.first() else { return kept };
    let weight = |logit: f64| rules.tempered(logit - largest).exp();
    kept.truncate(rules.top_k);
    if rules.top_p < 1.0 {
        let wanted = f64::from(rules.top_p) * kept.iter().map(|&(_, logit)| weight(logit)).sum::<f64>();
        let mut reached = 0.0;
        let before = |&(_, logit): &(u32, f64)| {
            let is_needed = reached < wanted;
            reached += weight(logit);
            is_needed
        };
        let needed = kept.iter().copied().take_while(before).count();
        kept.truncate(needed.max(1));
    }
    if rules.min_p > 0.0 {
        let gap = f64::from(rules.temperature.max(1e-37)) * f64::from(rules.min_p).ln();
        kept.retain(|&(_, logit)| (logit - largest) as f32 >= gap as f32);
    }
    kept
}

/// The token that wins the race among those kept, or [`NONE`].
pub fn winner(rules: &Rules, drawn: u32, kept: &[(u32, f64)]) -> u32 {
    let mut best = (f64::NEG_INFINITY, NONE);
    let largest = kept.first().map_or(0.0, |&(_, logit)| logit);
    for &(id, logit) in kept {
        let score = rules.tempered(logit - largest) + gumbel(rules.seed, drawn, id);
        if score > best.0 || (score == best.0 && id < best.1) {
            best = (score, id);
        }
    }
    best.1
}

/// Makes the winner the first partial result, with the first unusable logit of all. `words`: `// [chunks, 2]`
pub fn compute(rules: &Rules, drawn: u32, logits: Logits<'_>, words: &mut [[u32; 2]]) {
    let unusable = words.iter().map(|word| word[1]).min().unwrap_or(NONE);
    if let Some(first) = words.first_mut() {
        *first = [winner(rules, drawn, &kept(rules, logits)), unusable];
    }
}
