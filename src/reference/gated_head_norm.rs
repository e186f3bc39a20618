//! Root-mean-square norm of every head, times a gate; also saves the last inputs of the convolution.

use super::activation::activate;
use super::delta_scan::GateRows;
use super::rms_norm;
use crate::config::Activation;

/// `x = x / sqrt(mean(x^2) + eps) * weight * silu(gate)` over heads as wide as `weight`.
///
/// `x`: `// [tokens, heads, dim]`; `gates`: those of all heads.
pub fn compute(heads: usize, eps: f32, x: &mut [f32], gates: GateRows<'_>, weight: &[f32]) {
    let (GateRows { rows, stride, offset }, dim) = (gates, weight.len());
    for (x, row) in x.chunks_exact_mut(heads * dim).zip(rows.chunks_exact(stride)) {
        let before = x.to_vec();
        rms_norm::compute(eps, &before, weight, x);
        x.iter_mut().zip(&row[offset..]).for_each(|(x, gate)| *x *= activate(Activation::Silu, *gate));
    }
}

/// Saves the last three inputs of the channels, from `seen` and `rows` in this order.
///
/// `rows`: `// [tokens, stride]`, channels first; `seen`: `// [3, channels]`.
pub fn keep(rows: &[f32], stride: usize, seen: &mut [f32]) {
    let channels = seen.len() / 3;
    for row in rows.chunks_exact(stride) {
        seen.copy_within(channels.., 0);
        seen[2 * channels..].copy_from_slice(&row[..channels]);
    }
}
