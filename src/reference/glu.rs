//! The gate of a gated feed-forward (<https://arxiv.org/abs/2002.05202>).

use super::activation::activate;
use crate::config::Activation;

/// Writes `y = act(gate) * up`. `gate_up`: `// [rows, 2 * width]`, gate first; `y`: `// [rows, width]`.
pub fn compute(width: usize, activation: Activation, gate_up: &[f32], y: &mut [f32]) {
    for (y, gate_up) in y.chunks_exact_mut(width).zip(gate_up.chunks_exact(2 * width)) {
        let (gate, up) = gate_up.split_at(width);
        for ((y, gate), up) in y.iter_mut().zip(gate).zip(up) {
            *y = activate(activation, *gate) * up;
        }
    }
}
