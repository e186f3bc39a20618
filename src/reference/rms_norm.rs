//! Root-mean-square norm of rows (<https://arxiv.org/abs/1910.07467>).

/// Writes `y = x / sqrt(mean(x^2) + eps) * weight`, in `f64`. `x`, `y`: `// [rows, width]`; `weight`: `// [width]`.
pub fn compute(eps: f32, x: &[f32], weight: &[f32], y: &mut [f32]) {
    let width = weight.len();
    for (x, y) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)) {
        let squares: f64 = x.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
        let rms = (squares / width as f64 + f64::from(eps)).sqrt();
        for ((x, weight), y) in x.iter().zip(weight).zip(y) {
            *y = (f64::from(*x) / rms * f64::from(*weight)) as f32;
        }
    }
}
