//! Rows through the gate of a gated feed-forward: a norm, two products, the gate.

use super::{glu, matvec};
use crate::config::Activation;

/// Writes `y = act(x * gate^T) * (x * up^T)` of normed rows, summed in `f64`.
///
/// `x`: `// [m, k]`, already normed; `w`: `// [2 * n, k]`, the gate's rows first; `y`: `// [m, n]`.
pub fn compute(n: usize, k: usize, activation: Activation, x: &[f32], w: &[f32], y: &mut [f32]) {
    let mut gate_up = vec![0.0; 2 * n];
    for (x, y) in x.chunks_exact(k).zip(y.chunks_exact_mut(n)) {
        matvec::compute(x, w, None, false, &mut gate_up);
        glu::compute(n, activation, &gate_up, y);
    }
}
