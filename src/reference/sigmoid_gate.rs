//! Numbers times the sigmoid of a gate.

/// `x = x * sigmoid(gate)`. `x`: `// [rows, width]`; `gates`: `// [rows, stride]`, from column `offset` on.
pub fn compute(width: usize, x: &mut [f32], gates: &[f32], (stride, offset): (usize, usize)) {
    for (x, gates) in x.chunks_exact_mut(width).zip(gates.chunks_exact(stride)) {
        for (x, gate) in x.iter_mut().zip(&gates[offset..]) {
            *x = (f64::from(*x) / (1.0 + (-f64::from(*gate)).exp())) as f32;
        }
    }
}
