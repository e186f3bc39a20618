//! Logits to partial results: many small races.

use super::params_of;
use super::sample::Sampling;
use crate::error::Result;
use crate::gpu::{Access, Dispatch, Features, Kernel, Recording, Slice};

/// Lanes of a workgroup, each with a chunk of the vocabulary.
const LANES: u32 = 64;

/// The kernel.
pub fn kernel() -> Kernel {
    use Access::{Read, ReadWrite};
    Kernel {
        name: "sample_scan".into(),
        wgsl: vec![
            include_str!("../../shaders/shared/sampling.wgsl").into(),
            include_str!("../../shaders/shared/logits.wgsl").into(),
            include_str!("../../shaders/sample_scan.wgsl").into(),
        ],
        needs: Features::NONE,
        bindings: vec![Read, Read, ReadWrite, ReadWrite, Read],
    }
}

/// Records the scan of `logits` `// [vocab]`, of which `state` says how many tokens were drawn before.
///
/// # Errors
/// As [`Recording::dispatch`].
pub fn record(recording: &mut Recording, sampling: &Sampling, logits: &Slice, state: &Slice) -> Result<()> {
    record_rows(recording, sampling, 1, logits, state)
}

/// Records the scan of several rows of `logits` `// [rows, vocab]`, each as if it were alone; so many partial results must
/// `sampling` have room for.
///
/// # Errors
/// As [`Recording::dispatch`].
pub fn record_rows(
    recording: &mut Recording,
    sampling: &Sampling,
    rows: usize,
    logits: &Slice,
    state: &Slice,
) -> Result<()> {
    let Sampling { rules, words, values, adjust } = sampling;
    recording.dispatch(Dispatch {
        kernel: kernel(),
        params: params_of(rules),
        buffers: [logits, state, words, values, adjust].map(Slice::clone).to_vec(),
        grid: [rules.chunks() as u32 / LANES, rows as u32, 1],
        note: if rows == 1 {
            format!("vocab={}", rules.vocab())
        } else {
            format!("rows={rows} vocab={}", rules.vocab())
        },
    })
}
