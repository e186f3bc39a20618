//! The next token from partial results.

use super::sampling::{NONE, Rules};
use crate::isa::Isa;
use crate::job::Launch;
use crate::memory::{Fault, Output};
use crate::work::Work;

/// Writes the token and counts it. Bindings: words and values: `// [candidates]`, the state, adjustments: `// [vocab]`.
///
/// # Safety
/// The conditions of [`crate::isa::Kernel`] hold.
#[inline(always)]
pub(crate) unsafe fn run<I: Isa>(launch: &Launch<'_>, work: &mut Work<'_>) -> Result<(), Fault> {
    let rules: Rules = launch.params()?;
    let count = rules.candidates as usize;
    let words: &[[u32; 2]] = launch.input(0, [count])?; // [candidates]
    let values: &[[f32; 2]] = launch.input(1, [count])?; // [candidates]
    let state = launch.output::<u32, _>(2, [3])?;
    if work.next(1).is_none() {
        return Ok(());
    }
    let mut best: Option<(u32, [f32; 2])> = None;
    for (&[token, _], &[logit, luck]) in words.iter().zip(values).filter(|(word, _)| word[0] != NONE) {
        let wins = |(known, [held, other]): (u32, [f32; 2])| {
            let (own, held) = ((logit, f64::from(luck)), (held, f64::from(other)));
            rules.beats(own, held) || !rules.beats(held, own) && token < known
        };
        if best.is_none_or(wins) {
            best = Some((token, [logit, luck]));
        }
    }
    let unusable = words.iter().map(|word| word[1]).min().unwrap_or(NONE);
    // SAFETY: One thread has the only item.
    unsafe {
        let drawn = advance(&state, best.map(|(token, _)| token), unusable);
        if let Some(token) = drawn.filter(|_| rules.adjusts == 1) {
            let adjust = launch.output::<[f32; 2], _>(3, [token as usize + 1])?; // [vocab]
            let [bias, times] = adjust.get(token as usize);
            adjust.set(token as usize, [bias, times + 1.0]);
        }
    }
    Ok(())
}

/// Writes token, position and tokens drawn for the next step. Returns the token if one can be drawn.
///
/// # Safety
/// No other thread uses the state.
pub(super) unsafe fn advance(state: &Output<'_, u32>, token: Option<u32>, unusable: u32) -> Option<u32> {
    // SAFETY: As of this function.
    unsafe {
        state.set(1, state.get(1).wrapping_add(1));
        let drawn = token.filter(|_| unusable == NONE);
        state.set(0, drawn.unwrap_or(NONE));
        state.set(2, if drawn.is_some() { state.get(2).wrapping_add(1) } else { unusable });
        drawn
    }
}
