//! How many drafts of a pass are the tokens that greedy steps would have drawn, and the token after them
//! (<https://arxiv.org/abs/2211.17192>, at temperature 0).

use super::sampling::Sampling;
use super::{Variant, params_of, plain};
use crate::error::Result;
use crate::gpu::{Dispatch, Kernel, Recording, Slice};

/// Most rows of a pass.
pub const MAX_ROWS: usize = 8;

#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    rows: u32,
    chunks: u32,
    padding: [u32; 2],
}

/// The kernel.
pub fn kernel() -> Kernel {
    plain("accept", Variant::Accept)
}

/// Records the verdict over `rows` rows, at most [`MAX_ROWS`], from what
/// [`sample_scan::record_rows`](super::sample_scan::record_rows) made of their logits by greedy rules.
///
/// `inputs`: the tokens that the rows began with, `// [rows]`; `state`: token, position, tokens drawn, which become what they would
/// be after one [`sample`](super::sample) for each row up to the first whose token is not the next input.
///
/// # Errors
/// As [`Recording::dispatch`].
pub fn record(
    recording: &mut Recording,
    sampling: &Sampling,
    rows: usize,
    inputs: &Slice,
    state: &Slice,
) -> Result<()> {
    let Sampling { rules, words, values, .. } = sampling;
    let params = Params { rows: rows as u32, chunks: rules.chunks() as u32, padding: [0; 2] };
    recording.dispatch(Dispatch {
        kernel: kernel(),
        params: params_of(&params),
        buffers: [words, values, inputs, state].map(Slice::clone).to_vec(),
        grid: [1, 1, 1],
        note: format!("rows={rows} from={}", rules.chunks()),
    })
}
