//! Means of runs of rows, as they are or normed without a weight.

use super::rms_norm;

/// Writes `y = mean of count rows`, normed if there is an epsilon. `x`: `// [runs * count, width]`; `y`: `// [runs, width]`.
pub fn compute(width: usize, count: usize, eps: Option<f32>, x: &[f32], y: &mut [f32]) {
    let ones = vec![1.0; width];
    for (y, rows) in y.chunks_exact_mut(width).zip(x.chunks_exact(width * count)) {
        let mean = |column: usize| rows.iter().skip(column).step_by(width).map(|&x| f64::from(x)).sum::<f64>();
        let means: Vec<f32> = (0..width).map(|column| (mean(column) / count as f64) as f32).collect();
        match eps {
            Some(eps) => rms_norm::compute(eps, &means, &ones, y),
            None => y.copy_from_slice(&means),
        }
    }
}
