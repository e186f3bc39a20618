//! Features of pictures added to the residual stream after a decoder layer (DeepStack).

use super::embed_rows::FEATURE;

/// `x[t] += features[row + offset]` for every token whose source is a row of the features.
///
/// `sources`: `// [tokens]`; `features`: `// [rows, width]`; `x`: `// [tokens, width]`.
pub fn compute(width: usize, offset: usize, sources: &[u32], features: &[f32], x: &mut [f32]) {
    for (x, &source) in x.chunks_exact_mut(width).zip(sources).filter(|(_, source)| *source & FEATURE != 0) {
        let first = ((source & !FEATURE) as usize + offset) * width;
        x.iter_mut().zip(&features[first..first + width]).for_each(|(x, feature)| *x += feature);
    }
}
