//! A root-mean-square norm of every head, times a gate; and what the convolution before has seen last.

use super::activation::activate;
use super::rms_norm;
use crate::config::Activation;

/// `x = x / sqrt(mean(x^2) + eps) * weight * silu(gate)` over heads as wide as `weight`; `seen` afterwards holds the last three of what it
/// held and the rows.
///
/// `x`: `// [tokens, heads, dim]`; `rows`: `// [tokens, stride]`, channels first, and the gates of the heads from column `offset` on;
/// `seen`: `// [3, channels]`.
pub fn compute(
    heads: usize,
    eps: f32,
    x: &mut [f32],
    rows: &[f32],
    (stride, offset): (usize, usize),
    weight: &[f32],
    seen: &mut [f32],
) {
    let (dim, channels) = (weight.len(), seen.len() / 3);
    for (x, row) in x.chunks_exact_mut(heads * dim).zip(rows.chunks_exact(stride)) {
        let before = x.to_vec();
        rms_norm::compute(eps, &before, weight, x);
        x.iter_mut().zip(&row[offset..]).for_each(|(x, gate)| *x *= activate(Activation::Silu, *gate));
        seen.copy_within(channels.., 0);
        seen[2 * channels..].copy_from_slice(&row[..channels]);
    }
}
