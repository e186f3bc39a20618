//! Root-mean-square norm of rows (<https://arxiv.org/abs/1910.07467>).

/// Writes `y = x / sqrt(mean(x^2) + eps) * weight`, in `f64`. `x`, `y`: `// [rows, width]`; `weight`: `// [width]`.
pub fn compute(eps: f32, x: &[f32], weight: &[f32], y: &mut [f32]) {
    let width = weight.len();
    for (x, y) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)) {
        let rms = root_mean_square(eps, x);
        for ((x, weight), y) in x.iter().zip(weight).zip(y) {
            *y = (f64::from(*x) / rms * f64::from(*weight)) as f32;
        }
    }
}

/// Adds the same to `y` and multiplies the sum: `y = (y + x / sqrt(mean(x^2) + eps) * weight) * factor`.
pub fn add(eps: f32, x: &[f32], weight: &[f32], factor: f32, y: &mut [f32]) {
    let mut normed = vec![0.0; x.len()];
    compute(eps, x, weight, &mut normed);
    y.iter_mut().zip(normed).for_each(|(y, normed)| *y = (*y + normed) * factor);
}

/// Writes `y = gained / sqrt(mean(x^2) + eps)`, with `gained = x * weight`. `x`, `gained`, `y`: `// [rows, width]`
pub fn divide(eps: f32, width: usize, x: &[f32], gained: &[f32], y: &mut [f32]) {
    for ((x, gained), y) in x.chunks_exact(width).zip(gained.chunks_exact(width)).zip(y.chunks_exact_mut(width)) {
        let rms = root_mean_square(eps, x);
        for (gained, y) in gained.iter().zip(y) {
            *y = (f64::from(*gained) / rms) as f32;
        }
    }
}

fn root_mean_square(eps: f32, x: &[f32]) -> f64 {
    let squares: f64 = x.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    (squares / x.len() as f64 + f64::from(eps)).sqrt()
}
