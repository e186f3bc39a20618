//! The draw among tokens that pass `top_k`, `top_p` and `min_p`.

use super::plain;
use super::sampling::Sampling;
use crate::error::Result;
use crate::gpu::{Dispatch, Kernel, Recording, Slice};

/// The kernel.
pub fn kernel() -> Kernel {
    plain("sample_filter")
}

/// Records the draw. It follows [`sample_scan`](super::sample_scan), whose first partial result it replaces by the drawn token.
pub fn record(recording: &mut Recording, sampling: &Sampling, logits: &Slice, state: &Slice) -> Result<()> {
    let Sampling { rules, words, values, adjust, mask } = sampling;
    recording.dispatch(Dispatch {
        kernel: kernel(),
        params: rules.bytes(),
        buffers: [logits, state, words, values, adjust, mask].map(Slice::clone).to_vec(),
        grid: [1, 1, 1],
        note: format!("vocab={}", rules.vocab),
    })
}
