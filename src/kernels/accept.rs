//! Verification of drafts at temperature 0 (<https://arxiv.org/abs/2211.17192>): counts the drafts that equal the greedily sampled tokens,
//! and samples the token after them.

use super::sampling::Sampling;
use super::{params, plain};
use crate::error::Result;
use crate::gpu::{Dispatch, Kernel, Recording, Slice};

/// Most rows of a pass.
pub const MAX_ROWS: usize = 8;

/// The kernel.
pub fn kernel() -> Kernel {
    plain("accept")
}

/// Records the verification of `rows` rows, at most [`MAX_ROWS`], from the greedy partial results that
/// [`sample_scan`](super::sample_scan::record) wrote.
///
/// `inputs`: the input tokens of the rows, `// [rows]`; `state`: token, position, tokens drawn, updated as by one [`sample`](super::sample)
/// for each row up to the first whose token differs from the next input.
pub fn record(
    recording: &mut Recording,
    sampling: &Sampling,
    rows: usize,
    inputs: &Slice,
    state: &Slice,
) -> Result<()> {
    let Sampling { rules, words, values, .. } = sampling;
    recording.dispatch(Dispatch {
        kernel: kernel(),
        params: params!(rows, chunks = rules.chunks as usize),
        buffers: [words, values, inputs, state].map(Slice::clone).to_vec(),
        grid: [1, 1, 1],
        note: format!("rows={rows} from={}", rules.chunks),
    })
}
