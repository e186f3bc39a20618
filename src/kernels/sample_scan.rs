//! Logits reduced to partial results, one for each chunk of the vocabulary.

use super::plain;
use super::sampling::Sampling;
use crate::error::Result;
use crate::gpu::{Dispatch, Kernel, Recording, Slice};

/// Lanes of a workgroup, each with a chunk of the vocabulary.
const LANES: u32 = 64;

/// The kernel.
pub fn kernel() -> Kernel {
    plain("sample_scan")
}

/// Records the scan of rows of `logits` `// [rows, vocab]`, each independent of the others. `state` holds the number of tokens drawn
/// before. `sampling` must have room for the partial results of all rows.
pub fn record(
    recording: &mut Recording,
    sampling: &Sampling,
    rows: usize,
    logits: &Slice,
    state: &Slice,
) -> Result<()> {
    let Sampling { rules, words, values, adjust, mask } = sampling;
    let of_rows = if rows == 1 { String::new() } else { format!("rows={rows} ") };
    recording.dispatch(Dispatch {
        kernel: kernel(),
        params: rules.bytes(),
        buffers: [logits, state, words, values, adjust, mask].map(Slice::clone).to_vec(),
        grid: [rules.chunks / LANES, rows as u32, 1],
        note: format!("{of_rows}vocab={}", rules.vocab),
    })
}
