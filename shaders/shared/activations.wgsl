// Pointwise activations, numbered as in `kernels/mod.rs`.

// erf by Abramowitz and Stegun 7.1.26, |error| < 1.5e-7.
fn erf(x: f32) -> f32 {
  let t = 1.0 / (1.0 + 0.3275911 * abs(x));
  let poly = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return sign(x) * (1.0 - poly * exp(-x * x));
}

fn activate(kind: u32, x: f32) -> f32 {
  switch kind {
    case 0u: { // silu; the bound keeps exp finite
      return x / (1.0 + exp(min(-x, 80.0)));
    }
    case 1u: { // gelu
      return 0.5 * x * (1.0 + erf(x * 0.70710678));
    }
    default: { // gelu_tanh, by (1 + tanh(z)) / 2 = 1 / (1 + exp(-2z)), which loses nothing where tanh is close to -1
      let inner = 0.79788456 * (x + 0.044715 * x * x * x);
      return x / (1.0 + exp(min(-2.0 * inner, 80.0)));
    }
  }
}
