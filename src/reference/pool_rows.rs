//! Means of runs of rows, normed without a weight.

use super::rms_norm;

/// Writes `y = norm(mean of count rows)`. `x`: `// [runs * count, width]`; `y`: `// [runs, width]`.
pub fn compute(width: usize, count: usize, eps: f32, x: &[f32], y: &mut [f32]) {
    let ones = vec![1.0; width];
    for (y, rows) in y.chunks_exact_mut(width).zip(x.chunks_exact(width * count)) {
        let mean = |column: usize| rows.iter().skip(column).step_by(width).map(|&x| f64::from(x)).sum::<f64>();
        let means: Vec<f32> = (0..width).map(|column| (mean(column) / count as f64) as f32).collect();
        rms_norm::compute(eps, &means, &ones, y);
    }
}
