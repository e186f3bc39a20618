//! Rows through the gate of a gated feed-forward: a norm, two products, the gate.

use super::activation::{Activation, activate};

/// Writes `y = act(x * gate^T) * (x * up^T)` of normed rows, summed in `f64`.
///
/// `x`: `// [m, k]`, normed already; `w`: `// [2 * n, k]`, the gate's rows first; `y`: `// [m, n]`.
pub fn compute((n, k): (usize, usize), activation: Activation, x: &[f32], w: &[f32], y: &mut [f32]) {
    let product = |x: &[f32], row: usize| -> f64 {
        x.iter().zip(&w[row * k..][..k]).map(|(x, w)| f64::from(*x) * f64::from(*w)).sum()
    };
    for (x, y) in x.chunks_exact(k).zip(y.chunks_exact_mut(n)) {
        for (row, y) in y.iter_mut().enumerate() {
            *y = activate(activation, product(x, row) as f32) * product(x, n + row) as f32;
        }
    }
}
