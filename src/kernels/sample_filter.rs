//! The draw among tokens that pass `top_k`, `top_p` and `min_p`.

use super::params_of;
use super::sample::Sampling;
use crate::error::Result;
use crate::gpu::{Access, Dispatch, Features, Kernel, Recording, Slice};

/// The kernel.
pub fn kernel() -> Kernel {
    use Access::{Read, ReadWrite};
    Kernel {
        name: "sample_filter".into(),
        wgsl: vec![
            include_str!("../../shaders/shared/sampling.wgsl").into(),
            include_str!("../../shaders/shared/logits.wgsl").into(),
            include_str!("../../shaders/shared/wide.wgsl").into(),
            include_str!("../../shaders/shared/bins.wgsl").into(),
            include_str!("../../shaders/shared/cut.wgsl").into(),
            include_str!("../../shaders/sample_filter.wgsl").into(),
        ],
        needs: Features::NONE,
        bindings: vec![Read, Read, ReadWrite, Read, Read],
    }
}

/// Records the draw. Behind [`sample_scan`](super::sample_scan), whose first partial result becomes the token that was drawn.
///
/// # Errors
/// As [`Recording::dispatch`].
pub fn record(recording: &mut Recording, sampling: &Sampling, logits: &Slice, state: &Slice) -> Result<()> {
    let Sampling { rules, words, values, adjust } = sampling;
    recording.dispatch(Dispatch {
        kernel: kernel(),
        params: params_of(rules),
        buffers: [logits, state, words, values, adjust].map(Slice::clone).to_vec(),
        grid: [1, 1, 1],
        note: format!("vocab={}", rules.vocab()),
    })
}
