//! Logits to partial results: many small races.

use super::sampling::Sampling;
use super::{Variant, params_of, plain};
use crate::error::Result;
use crate::gpu::{Dispatch, Kernel, Recording, Slice};

/// Lanes of a workgroup, each with a chunk of the vocabulary.
const LANES: u32 = 64;

/// The kernel.
pub fn kernel() -> Kernel {
    plain("sample_scan", Variant::SampleScan)
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
