//! Layer norm of rows (<https://arxiv.org/abs/1607.06450>).

/// Writes `y = (x - mean(x)) / sqrt(variance(x) + eps) * weight + bias`, in `f64`. `x`, `y`: `// [rows, width]`; `weight`, `bias`:
/// `// [width]`.
pub fn compute(eps: f32, x: &[f32], weight: &[f32], bias: &[f32], y: &mut [f32]) {
    let width = weight.len();
    for (x, y) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)) {
        let mean = x.iter().map(|&x| f64::from(x)).sum::<f64>() / width as f64;
        let variance = x.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / width as f64;
        let deviation = (variance + f64::from(eps)).sqrt();
        for (((x, weight), bias), y) in x.iter().zip(weight).zip(bias).zip(y) {
            *y = ((f64::from(*x) - mean) / deviation * f64::from(*weight) + f64::from(*bias)) as f32;
        }
    }
}
