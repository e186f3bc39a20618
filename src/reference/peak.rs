//! Chains of multiply-adds.

/// Computes three chains of floats for `turns` turns of four multiply-adds. `x`, `y`: `// [threads]`.
pub fn floats(turns: usize, x: &[f32], y: &mut [f32]) {
    for (y, x) in y.iter_mut().zip(x) {
        let x = f64::from(*x);
        let chain = |start: f64| (0..4 * turns).fold(x + start, |a, _| a * 0.5 * x + x);
        *y = (0..3).map(|c| 4.0 * chain(f64::from(c))).sum::<f64>() as f32;
    }
}

/// Computes twelve chains of products of four 8-bit integers. `x`, `y`: `// [threads]`.
pub fn integers(turns: usize, x: &[f32], y: &mut [f32]) {
    for (y, x) in y.iter_mut().zip(x) {
        let w = x.to_bits().to_le_bytes();
        let dot = |a: i32| (0..4).map(|i| i32::from(a.to_le_bytes()[i] as i8) * i32::from(w[i] as i8)).sum::<i32>();
        let chain =
            |start: i32| (0..4 * turns).fold((x.to_bits() as i32).wrapping_add(start), |a, _| a.wrapping_add(dot(a)));
        let sum = (0..12).map(chain).fold(0, i32::wrapping_add);
        *y = (sum & 0xff_ffff) as f32;
    }
}
