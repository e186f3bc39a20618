//! Queries, keys and values of a few tokens: a product, the rotation, the append to the cache.

use super::cache::Cache;
use super::matvec;
use super::rope_append::{self, Heads, Step};
use crate::config::KvPrecision;

/// Writes the rotated queries to `q`, rotated keys and the values to the cache.
///
/// `x`: `// [m, k]`, already normed; `w`: `// [(q + 2 * kv) * dim, k]`; `bias`: `// [(q + 2 * kv) * dim]`; `q`: `// [m, q * dim]`.
pub fn compute(
    heads: Heads,
    (x, k): (&[f32], usize),
    (w, bias): (&[f32], Option<&[f32]>),
    step: Step<'_>,
    q: &mut [f32],
    (precision, cache): (KvPrecision, Cache<'_>),
) {
    let (width, q_width) = ((heads.q + 2 * heads.kv) * heads.dim, heads.q * heads.dim);
    let mut qkv = vec![0.0; x.len() / k * width]; // [m, width]
    for (x, row) in x.chunks_exact(k).zip(qkv.chunks_exact_mut(width)) {
        matvec::compute(x, w, bias, false, row);
    }
    rope_append::compute((heads, width), None, step, &mut qkv, precision, cache);
    for (row, q) in qkv.chunks_exact(width).zip(q.chunks_exact_mut(q_width)) {
        q.copy_from_slice(&row[..q_width]);
    }
}
