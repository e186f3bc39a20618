//! A gate of some columns of wider rows.

use super::activation::activate;
use crate::config::Activation;

/// Some columns of rows.
#[derive(Debug, Clone, Copy)]
pub struct RowPart {
    /// Numbers of a row.
    pub stride: usize,
    /// The first of them.
    pub offset: usize,
}

/// Writes `y = act(gate) * factors`; an offset beyond the first row skips rows of factors. `gate`, `y`: `// [rows, width]`; `factors`:
/// `// [rows, part.stride]`.
pub fn compute(width: usize, activation: Activation, gate: &[f32], (factors, part): (&[f32], RowPart), y: &mut [f32]) {
    let rows = y.chunks_exact_mut(width).zip(gate.chunks_exact(width)).zip((part.offset..).step_by(part.stride));
    for ((y, gate), first) in rows {
        for ((y, gate), factor) in y.iter_mut().zip(gate).zip(&factors[first..]) {
            *y = activate(activation, *gate) * factor;
        }
    }
}
