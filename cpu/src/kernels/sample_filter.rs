//! The draw among tokens that pass `top_k`, `top_p` and `min_p`.

use alloc::vec::Vec;

use super::sampling::{Logit, Logits, NONE, Rules};
use crate::isa::Isa;
use crate::job::Launch;
use crate::memory::Fault;
use crate::work::Work;

/// Bits of [`Rules::filters`].
const TOP_K: u32 = 1;
const TOP_P: u32 = 2;
/// Likeliest tokens that are sorted at first, and how many times more each time that they do not suffice.
const SORTED: usize = 256;
const MORE: usize = 16;

/// A token and its logit.
type Candidate = (u32, f32);

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
        Logit::Usable(logit) => Some((id, logit)),
        _ => None,
    };
    let mut all: Vec<Candidate> = (0..rules.vocab).filter_map(usable).collect();
    let Some(largest) = all.iter().map(|&(_, logit)| logit).reduce(f32::max) else { return NONE };
    if rules.filters & TOP_K != 0 {
        keep_likeliest(&mut all, rules.top_k as usize);
    }
    if rules.filters & TOP_P != 0 {
        keep_nucleus(&mut all, rules, largest);
    }
    let mut best = (f64::NEG_INFINITY, NONE);
    for &(id, logit) in all.iter().filter(|(_, logit)| logit - largest >= rules.gap) {
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

/// Likelier tokens first; of equal ones, the lower id first. Both zeros are equal.
fn order(a: &Candidate, b: &Candidate) -> core::cmp::Ordering {
    (b.1 + 0.0).total_cmp(&(a.1 + 0.0)).then(a.0.cmp(&b.0))
}

fn keep_likeliest(all: &mut Vec<Candidate>, count: usize) {
    if count < all.len() {
        all.select_nth_unstable_by(count, order);
        all.truncate(count);
    }
}

/// Keeps the fewest of the likeliest tokens that reach the share `top_p` of the weight of all.
fn keep_nucleus(all: &mut Vec<Candidate>, rules: &Rules, largest: f32) {
    let weight = |&(_, logit): &Candidate| libm::exp(rules.tempered(f64::from(logit) - f64::from(largest)));
    let share = f64::from(rules.top_p) / 4_294_967_296.0;
    let wanted = share * all.iter().map(weight).sum::<f64>();
    let mut count = SORTED;
    loop {
        let sorted = count.min(all.len());
        if sorted < all.len() {
            all.select_nth_unstable_by(sorted, order);
        }
        all[..sorted].sort_unstable_by(order);
        let mut reached = 0.0;
        let needed = all[..sorted].iter().take_while(|token| {
            let is_needed = reached < wanted;
            reached += weight(token);
            is_needed
        });
        let needed = needed.count();
        if needed < sorted || sorted == all.len() {
            return all.truncate(needed.max(1));
        }
        count *= MORE;
    }
}
