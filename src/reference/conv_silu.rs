//! A short causal convolution of every channel over the tokens, then silu.

/// Writes `y[t] = silu(sum of weight[i] * x[t - 3 + i])` for every channel, in `f64`; what lies before the first token is in `state`, which
/// afterwards holds the last three.
///
/// `x`: `// [tokens, stride]`, channels first; `state`: `// [3, channels]`; `weight`: `// [channels, 4]`; `y`: `// [tokens, channels]`.
pub fn compute(stride: usize, x: &[f32], state: &mut [f32], weight: &[f32], y: &mut [f32]) {
    let channels = weight.len() / 4;
    for (x, y) in x.chunks_exact(stride).zip(y.chunks_exact_mut(channels)) {
        for c in 0..channels {
            let seen = [state[c], state[channels + c], state[2 * channels + c], x[c]];
            let sum: f64 = seen.iter().zip(&weight[4 * c..]).map(|(x, w)| f64::from(*x) * f64::from(*w)).sum();
            y[c] = (sum / (1.0 + (-sum).exp())) as f32;
        }
        state.copy_within(channels.., 0);
        state[2 * channels..].copy_from_slice(&x[..channels]);
    }
}
