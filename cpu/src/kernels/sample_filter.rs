//! The draw among tokens that pass `top_k`, `top_p` and `min_p`.

use alloc::collections::BinaryHeap;
use alloc::vec::Vec;
use core::cmp::Ordering;

use super::sampling::{Logit, Logits, NONE, Rules};
use crate::isa::Isa;
use crate::job::Launch;
use crate::memory::Fault;
use crate::work::Work;

/// Bits of [`Rules::filters`].
const TOP_K: u32 = 1;
const TOP_P: u32 = 2;
/// A token and its logit. The likeliest is the greatest; of equally likely ones, the one with the lowest id. Both zeros are equal.
#[derive(Clone, Copy)]
struct Candidate {
    id: u32,
    logit: f32,
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.logit + 0.0).total_cmp(&(other.logit + 0.0)).then(other.id.cmp(&self.id))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Candidate {}

/// Replaces the first partial result by the drawn token and the first unusable logit of all. Bindings: rows of logits, the state, words and values:
/// `// [chunks]`, adjustments: `// [vocab]`, the mask.
///
/// # Safety
/// The conditions of [`crate::isa::Kernel`] hold.
#[inline(always)]
pub(crate) unsafe fn run<I: Isa>(launch: &Launch<'_>, work: &mut Work<'_>) -> Result<(), Fault> {
    let rules: Rules = launch.params()?;
    let chunks = rules.chunks as usize;
    let drawn = launch.input::<u32, _>(1, [3])?[2];
    let words = launch.output::<[u32; 2], _>(2, [chunks])?; // [chunks]
    if work.next(1).is_none() || chunks == 0 {
        return Ok(());
    }
    let logits = Logits::of(launch, rules, 0)?;
    // SAFETY: One thread has the only item.
    unsafe {
        let unusable = words.part(0, chunks).iter().map(|word| word[1]).min().unwrap_or(NONE);
        words.set(0, [draw(&rules, drawn, &logits), unusable]);
    }
    Ok(())
}

fn draw(rules: &Rules, drawn: u32, logits: &Logits<'_>) -> u32 {
    let usable = |id: u32| match logits.get(id as usize) {
        Logit::Usable(logit) => Some(Candidate { id, logit }),
        _ => None,
    };
    let mut all: Vec<Candidate> = (0..rules.vocab).filter_map(usable).collect();
    let Some(largest) = all.iter().map(|token| token.logit).reduce(f32::max) else { return NONE };
    if rules.filters & TOP_K != 0 {
        all = likeliest(all).take(rules.top_k as usize).collect();
    }
    if rules.filters & TOP_P != 0 {
        all = nucleus(all, rules, largest);
    }
    let mut best = (f64::NEG_INFINITY, NONE);
    for Candidate { id, logit } in all.into_iter().filter(|token| token.logit - largest >= rules.gap) {
        let tempered = rules.tempered(f64::from(logit) - f64::from(largest));
        if tempered + rules.most_luck(id, drawn) < best.0 {
            continue;
        }
        let score = tempered + rules.gumbel(id, drawn);
        if score > best.0 || (score == best.0 && id < best.1) {
            best = (score, id);
        }
    }
    best.1
}

/// The tokens, likeliest first. A heap orders only those that are taken, and is a quarter of the code of a sort.
fn likeliest(all: Vec<Candidate>) -> impl Iterator<Item = Candidate> {
    let mut heap = BinaryHeap::from(all);
    core::iter::from_fn(move || heap.pop())
}

/// The fewest of the likeliest tokens that reach the share `top_p` of the weight of all.
fn nucleus(all: Vec<Candidate>, rules: &Rules, largest: f32) -> Vec<Candidate> {
    let weight = |token: &Candidate| libm::exp(rules.tempered(f64::from(token.logit) - f64::from(largest)));
    let share = f64::from(rules.top_p) / 4_294_967_296.0;
    let wanted = share * all.iter().map(weight).sum::<f64>();
    let mut reached = 0.0;
    let mut kept: Vec<Candidate> = Vec::new();
    for token in likeliest(all) {
        if reached >= wanted && !kept.is_empty() {
            break;
        }
        reached += weight(&token);
        kept.push(token);
    }
    kept
}
