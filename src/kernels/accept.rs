//! How many drafts of a pass are the tokens that greedy steps would have drawn, and the token after them
//! (<https://arxiv.org/abs/2211.17192>, at temperature 0).

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

/// Records the verdict over `rows` rows, at most [`MAX_ROWS`], from what
/// [`sample_scan`](super::sample_scan::record) made of their logits by greedy rules.
///
/// `inputs`: the tokens that the rows began with, `// [rows]`; `state`: token, position, tokens drawn, which become what they would
/// be after one [`sample`](super::sample) for each row up to the first whose token is not the next input.
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
