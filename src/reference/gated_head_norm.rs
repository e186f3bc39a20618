//! A root-mean-square norm of every head, times a gate.

use super::activation::activate;
use super::rms_norm;
use crate::config::Activation;

/// `x = x / sqrt(mean(x^2) + eps) * weight * silu(gate)` over heads as wide as `weight`.
///
/// `x`: `// [tokens, heads, dim]`; `gates`: `// [tokens, stride]`, those of the heads from column `offset` on.
pub fn compute(heads: usize, eps: f32, x: &mut [f32], gates: &[f32], (stride, offset): (usize, usize), weight: &[f32]) {
    let dim = weight.len();
    for (x, gates) in x.chunks_exact_mut(heads * dim).zip(gates.chunks_exact(stride)) {
        let before = x.to_vec();
        rms_norm::compute(eps, &before, weight, x);
        x.iter_mut().zip(&gates[offset..]).for_each(|(x, gate)| *x *= activate(Activation::Silu, *gate));
    }
}
