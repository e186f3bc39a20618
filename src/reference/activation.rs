//! Pointwise activations (<https://arxiv.org/abs/1606.08415> for both kinds of gelu).

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, PI};

use crate::config::Activation;

/// `x = act(x)`. `x`: `// [len]`.
pub fn compute(activation: Activation, x: &mut [f32]) {
    for x in x {
        *x = activate(activation, *x);
    }
}

/// The activation of one number, in `f64` throughout.
pub fn activate(activation: Activation, x: f32) -> f32 {
    let x = f64::from(x);
    let y = match activation {
        Activation::Silu => x / (1.0 + (-x).exp()),
        Activation::Gelu => 0.5 * x * (1.0 + erf(x * FRAC_1_SQRT_2)),
        Activation::GeluTanh => 0.5 * x * (1.0 + ((2.0 / PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh()),
    };
    y as f32
}

/// The error function, to about 1e-15: `2 / sqrt(pi) * exp(-x^2) * sum 2^n x^(2n + 1) / (1 * 3 * .. * (2n + 1))`, a series
/// without cancellation (Abramowitz and Stegun 7.1.6).
pub fn erf(x: f64) -> f64 {
    // erf(6) differs from 1 by 2e-17.
    if x.abs() > 6.0 {
        return x.signum();
    }
    let mut term = x;
    let mut sum = x;
    let mut odd = 1.0;
    while term.abs() > 1e-17 * sum.abs() {
        odd += 2.0;
        term *= 2.0 * x * x / odd;
        sum += term;
    }
    FRAC_2_SQRT_PI * (-x * x).exp() * sum
}
