//! Joins partial attentions over splits of the context.

/// Writes for each row the weighted sum of its splits divided by the sum of their weights.
///
/// `partials`: `// [splits, rows, head_dim + 4]` from [`attention_step`](super::attention_step::compute); `out`: `// [rows, head_dim]`.
pub fn compute(rows: usize, head_dim: usize, partials: &[f32], out: &mut [f32]) {
    let stride = head_dim + 4;
    for (row, out) in out.chunks_exact_mut(head_dim).enumerate() {
        let pieces: Vec<&[f32]> =
            partials.chunks_exact(rows * stride).map(|split| &split[row * stride..][..stride]).collect();
        let peak = pieces.iter().map(|piece| piece[head_dim]).fold(f32::NEG_INFINITY, f32::max);
        let weight = |piece: &[f32]| (f64::from(piece[head_dim]) - f64::from(peak)).exp();
        let total: f64 = pieces.iter().map(|piece| weight(piece) * f64::from(piece[head_dim + 1])).sum();
        for (lane, out) in out.iter_mut().enumerate() {
            let sum: f64 = pieces.iter().map(|piece| weight(piece) * f64::from(piece[lane])).sum();
            *out = (sum / total) as f32;
        }
    }
}
