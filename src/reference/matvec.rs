//! One row times a weight matrix.

/// Writes `y = x * w^T (+ bias) (+ y)`, summed in `f64`.
///
/// `x`: `// [k]`; `w`: `// [n, k]`, dequantised; `bias`: `// [n]`; `y`: `// [n]`.
pub fn compute(x: &[f32], w: &[f32], bias: Option<&[f32]>, accumulate: bool, y: &mut [f32]) {
    for (n, (y, w)) in y.iter_mut().zip(w.chunks_exact(x.len())).enumerate() {
        let mut sum: f64 = x.iter().zip(w).map(|(x, w)| f64::from(*x) * f64::from(*w)).sum();
        if let Some(bias) = bias {
            sum += f64::from(bias[n]);
        }
        if accumulate {
            sum += f64::from(*y);
        }
        *y = sum as f32;
    }
}
