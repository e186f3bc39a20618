//! Attention of the last tokens over splits of the context, as partial results.

use super::attention::{Heads, Scoring, dot};

/// Sizes.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Last tokens.
    pub m: usize,
    /// Position of the first token.
    pub position: usize,
    /// Query heads; a multiple of `kv_heads`.
    pub q_heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Splits of the context.
    pub splits: usize,
    /// Positions of a split are a multiple of it.
    pub tile: usize,
}

/// Peak of a split without visible keys.
pub const HIDDEN: f32 = -1e30;

/// Writes for each split and row the sum of values weighted by `exp(score - peak)`, then the peak, the sum of weights and two zeros.
///
/// `out`: `// [splits, m, q_heads, head_dim + 4]`
pub fn compute(shape: Shape, scoring: Scoring, q: Heads<'_>, k: Heads<'_>, v: Heads<'_>, out: &mut [f32]) {
    let Shape { m, position, q_heads, kv_heads, head_dim, splits, tile } = shape;
    // The tile of the first row's first key.
    let first = scoring.first_key(position) / tile * tile;
    let piece = (position + m - first).div_ceil(splits).next_multiple_of(tile);
    for (index, out) in out.chunks_exact_mut(head_dim + 4).enumerate() {
        let (split, token, head) = (index / q_heads / m, index / q_heads % m, index % q_heads);
        let kv_head = head / (q_heads / kv_heads);
        let end = (first + (split + 1) * piece).min(position + token + 1);
        let seen = (first + split * piece).max(scoring.first_key(position + token))..end;
        let query = q.head(token, head, head_dim);
        let score = |position| scoring.score(dot(query, k.head(position, kv_head, head_dim)));
        let scores: Vec<f64> = seen.clone().map(score).collect();
        let peak = scores.iter().copied().fold(f64::from(HIDDEN), f64::max);
        let weights: Vec<f64> = scores.iter().map(|score| (score - peak).exp()).collect();
        for (lane, out) in out[..head_dim].iter_mut().enumerate() {
            let value = |position| f64::from(v.head(position, kv_head, head_dim)[lane]);
            *out = seen.clone().zip(&weights).map(|(position, weight)| weight * value(position)).sum::<f64>() as f32;
        }
        out[head_dim..].copy_from_slice(&[peak as f32, weights.iter().sum::<f64>() as f32, 0.0, 0.0]);
    }
}
