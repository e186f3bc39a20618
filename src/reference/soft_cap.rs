//! A soft cap of numbers: how Gemma models bound their logits.

/// `x = cap * tanh(x / cap)`; NaN and infinities stay. `x`: `// [len]`.
pub fn compute(cap: f32, x: &mut [f32]) {
    for x in x.iter_mut().filter(|x| x.is_finite()) {
        *x = (f64::from(cap) * (f64::from(*x) / f64::from(cap)).tanh()) as f32;
    }
}
