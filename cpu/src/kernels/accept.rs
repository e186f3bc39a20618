//! Verification of drafts by greedy sampling.

use bytemuck::{Pod, Zeroable};

use super::sample::advance;
use super::sampling::NONE;
use crate::isa::Isa;
use crate::job::Launch;
use crate::memory::Fault;
use crate::work::Work;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Params {
    rows: u32,
    chunks: u32,
}

/// Samples greedily row by row, up to the first row whose token differs from the next input. Bindings: words and values: `// [rows, chunks]`, the
/// input tokens: `// [rows]`, the state.
///
/// # Safety
/// The conditions of [`crate::isa::Kernel`] hold.
#[inline(always)]
pub(crate) unsafe fn run<I: Isa>(launch: &Launch<'_>, work: &mut Work<'_>) -> Result<(), Fault> {
    let Params { rows, chunks } = launch.params()?;
    let (rows, chunks) = (rows as usize, chunks as usize);
    let len = rows.checked_mul(chunks).ok_or(Fault::OutOfBounds)?;
    let words: &[[u32; 2]] = launch.input(0, [len])?; // [rows, chunks]
    let values: &[[f32; 2]] = launch.input(1, [len])?; // [rows, chunks]
    let inputs: &[u32] = launch.input(2, [rows])?; // [rows]
    let state = launch.output::<u32, _>(3, [3])?;
    if work.next(1).is_none() {
        return Ok(());
    }
    for row in 0..rows {
        let (words, values) = (&words[row * chunks..][..chunks], &values[row * chunks..][..chunks]);
        let mut best: Option<(u32, f32)> = None;
        for (&[token, _], &[logit, _]) in words.iter().zip(values).filter(|(word, _)| word[0] != NONE) {
            if best.is_none_or(|(known, held)| logit > held || logit == held && token < known) {
                best = Some((token, logit));
            }
        }
        let unusable = words.iter().map(|word| word[1]).min().unwrap_or(NONE);
        // SAFETY: One thread has the only item.
        let drawn = unsafe { advance(&state, best.map(|(token, _)| token), unusable) };
        if drawn.is_none() || inputs.get(row + 1) != drawn.as_ref() {
            return Ok(());
        }
    }
    Ok(())
}
