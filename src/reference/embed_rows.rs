//! The rows that start a forward pass: embeddings of tokens and features of pictures.

/// Marks a source that is a row of the features, not a token.
pub const FEATURE: u32 = 1 << 31;

/// Writes `out[t] = scale * embedding[sources[t]]`, or `features[..]` if [`FEATURE`] is set.
///
/// `embedding`: `// [vocabulary, width]`; `sources`: `// [tokens]`; `features`: `// [rows, width]`; `out`: `// [tokens, width]`.
pub fn compute(width: usize, scale: f32, embedding: &[f32], sources: &[u32], features: &[f32], out: &mut [f32]) {
    for (out, &source) in out.chunks_exact_mut(width).zip(sources) {
        let (table, scale) = if source & FEATURE == 0 { (embedding, scale) } else { (features, 1.0) };
        let first = (source & !FEATURE) as usize * width;
        out.iter_mut().zip(&table[first..first + width]).for_each(|(out, x)| *out = scale * x);
    }
}
