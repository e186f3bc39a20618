//! The race of tokens in the chunks of a vocabulary.

use super::sampling::{LANES, Logit, Logits, NONE, Rules};
use crate::isa::Isa;
use crate::job::Launch;
use crate::memory::Fault;
use crate::work::Work;

/// The best token of a chunk so far.
#[derive(Clone, Copy)]
struct Best {
    logit: f32,
    luck: f64,
    token: u32,
    unusable: u32,
}

/// Writes the winner of each chunk, or with filters its largest logit and the weight of the chunk, and the first logit that is not a number.
/// Bindings: rows of logits: `// [rows, vocab]`, the state, words and values: `// [rows, chunks]`, adjustments: `// [vocab]`, the mask.
///
/// # Safety
/// The conditions of [`crate::isa::Kernel`] hold.
#[inline(always)]
pub(crate) unsafe fn run<I: Isa>(launch: &Launch<'_>, work: &mut Work<'_>) -> Result<(), Fault> {
    let rules: Rules = launch.params()?;
    let (rounds, chunks) = (rules.rounds as usize, rules.chunks as usize);
    let rows = launch.grid[1] as usize;
    let len = rows.checked_mul(chunks).ok_or(Fault::OutOfBounds)?;
    // Chunks have as many tokens as the vocabulary at most, or as a small one has at least.
    if rounds > (rules.vocab as usize).max(LANES) {
        return Err(Fault::OutOfBounds);
    }
    let drawn = launch.input::<u32, _>(1, [3])?[2];
    let words = launch.output::<[u32; 2], _>(2, [len])?; // [rows, chunks]
    let values = launch.output::<[f32; 2], _>(3, [len])?; // [rows, chunks]
    let groups = chunks.div_ceil(LANES);
    while let Some(item) = work.next(rows * groups) {
        let (row, group) = (item / groups, item % groups);
        let logits = Logits::of(launch, rules, row)?;
        let mut bests = [Best { logit: 0.0, luck: 0.0, token: NONE, unusable: NONE }; LANES];
        let races = rules.greedy == 0 && rules.filters == 0;
        for round in 0..rounds {
            let first = (group * rounds + round) * LANES;
            for (lane, best) in bests.iter_mut().enumerate() {
                meet(&rules, best, first + lane, &logits, races.then_some(drawn));
            }
        }
        for (lane, best) in bests.iter().enumerate().take(chunks - group * LANES) {
            let weight = if rules.filters == 0 { best.luck as f32 } else { weight(&rules, best, group, lane, &logits) };
            let at = row * chunks + group * LANES + lane;
            let logit = if best.token == NONE { 0.0 } else { best.logit };
            // SAFETY: Each chunk is given to one thread.
            unsafe {
                words.set(at, [best.token, best.unusable]);
                values.set(at, [logit, if best.token == NONE { 0.0 } else { weight }]);
            }
        }
    }
    Ok(())
}

/// Updates the best token with one of a higher id; in a race, `drawn` tokens were drawn before.
#[inline(always)]
fn meet(rules: &Rules, best: &mut Best, id: usize, logits: &Logits<'_>, drawn: Option<u32>) {
    match logits.get(id) {
        Logit::Forbidden => {}
        Logit::Unusable(code) => best.unusable = best.unusable.min(code),
        Logit::Usable(logit) => {
            let wins = |luck: f64| {
                let plain = drawn.is_none() && logit > best.logit;
                best.token == NONE || plain || drawn.is_some() && rules.beats((logit, luck), (best.logit, best.luck))
            };
            let token = id as u32;
            let Some(drawn) = drawn else {
                if wins(0.0) {
                    (best.logit, best.token) = (logit, token);
                }
                return;
            };
            // Most tokens lose however lucky they are.
            if wins(rules.most_luck(token, drawn)) {
                let luck = rules.gumbel(token, drawn);
                if wins(luck) {
                    (best.logit, best.luck, best.token) = (logit, luck, token);
                }
            }
        }
    }
}

/// The sum of the weights of a chunk, relative to its largest logit.
fn weight(rules: &Rules, best: &Best, group: usize, lane: usize, logits: &Logits<'_>) -> f32 {
    let rounds = rules.rounds as usize;
    let ids = (0..rounds).map(|round| (group * rounds + round) * LANES + lane);
    let weight = |id: usize| match logits.get(id) {
        Logit::Usable(logit) if logit == best.logit => 1.0,
        Logit::Usable(logit) => libm::expf((logit - best.logit) / rules.temperature),
        _ => 0.0,
    };
    ids.map(weight).sum()
}
