//! Verification of drafts by greedy sampling.

use super::sample;
use super::sample_scan::NONE;
use crate::sampling::options::SamplingOptions;

/// Samples greedily row by row, up to the first row whose token differs from the next input.
///
/// `words`, `values`: `// [rows, chunks, 2]`; `inputs`: `// [rows]`; `state`: see [`sample::compute`].
pub fn compute(
    options: &SamplingOptions,
    chunks: usize,
    (words, values): (&[[u32; 2]], &[[f32; 2]]),
    inputs: &[u32],
    state: &mut [u32],
) {
    let rows = words.chunks(chunks.max(1)).zip(values.chunks(chunks.max(1)));
    for (index, (words, values)) in rows.enumerate() {
        sample::compute(options, words, values, state, &mut []);
        let token = state.first().copied().unwrap_or(NONE);
        if token == NONE || inputs.get(index + 1) != Some(&token) {
            return;
        }
    }
}
