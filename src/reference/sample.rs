//! The next token from partial results, and all of sampling in one function.

use super::sample_filter::{kept, winner};
use super::sample_scan::{Logits, NONE, beats, is_greedy};
use crate::sampling::options::SamplingOptions;

/// Writes token, position and tokens drawn for the next step, and counts the token in `adjust`, if that is not empty.
///
/// `words`, `values`: `// [candidates, 2]`
pub fn compute(
    options: &SamplingOptions,
    words: &[[u32; 2]],
    values: &[[f32; 2]],
    state: &mut [u32],
    adjust: &mut [[f32; 2]],
) {
    let mut best: Option<((f64, f64), u32)> = None;
    for (&[token, _], &[logit, luck]) in words.iter().zip(values).filter(|(word, _)| word[0] != NONE) {
        let next = (f64::from(logit), f64::from(luck));
        let wins = |(held, id)| beats(options, next, held) || (!beats(options, held, next) && token < id);
        if best.is_none_or(wins) {
            best = Some((next, token));
        }
    }
    let unusable = words.iter().map(|word| word[1]).min().unwrap_or(NONE);
    let [token, position, drawn, ..] = state else { return };
    *position = position.wrapping_add(1);
    match best {
        Some((_, best)) if unusable == NONE => {
            *token = best;
            *drawn = drawn.wrapping_add(1);
            if let Some([_, times]) = adjust.get_mut(best as usize) {
                *times += 1.0;
            }
        }
        _ => (*token, *drawn) = (NONE, unusable),
    }
}

/// The token that all launches together must choose, or [`NONE`]. Logits must be usable.
pub fn choose(options: &SamplingOptions, drawn: u32, logits: Logits<'_>) -> u32 {
    let kept = kept(options, logits);
    if is_greedy(options, logits.raw.len()) {
        kept.first().map_or(NONE, |&(id, _)| id)
    } else {
        winner(options, drawn, &kept)
    }
}
