//! Rotary embedding with a precomputed table of angles (<https://arxiv.org/abs/2104.09864>).

use super::cache::{self, Append, Cache};
pub use super::heads::Heads;
use super::heads::{Norms, norm};
use crate::config::KvPrecision;

/// Rotates all query and key heads in place and scales the queries.
///
/// `qkv`: `// [tokens, stride]`; `angles`: `// [tokens, dim / 2, (cos, sin)]`; `q_scale`: `// [tokens]`.
pub fn compute(heads: Heads, stride: usize, angles: &[f32], q_scale: &[f32], qkv: &mut [f32]) {
    let pairs = heads.dim / 2;
    for (token, row) in qkv.chunks_exact_mut(stride).enumerate() {
        for head in 0..heads.q + heads.kv {
            let scale = if head < heads.q { f64::from(q_scale[token]) } else { 1.0 };
            for pair in 0..pairs {
                let first = head * heads.dim;
                let [at, bt] = heads.pairs.of(pair, heads.dim).map(|lane| first + lane);
                let [cos, sin] = [0, 1].map(|part| f64::from(angles[(token * pairs + pair) * 2 + part]));
                let (a, b) = (f64::from(row[at]), f64::from(row[bt]));
                row[at] = ((a * cos - b * sin) * scale) as f32;
                row[bt] = ((b * cos + a * sin) * scale) as f32;
            }
        }
    }
}

/// Splits rows into queries, keys and values; heads are normed if there are `norms`, queries and keys are rotated if there are `angles`. Keys
/// and values are stored in a contiguous cache.
///
/// `x`: `// [tokens, stride]`; `angles`: `// [tokens, dim / 2, (cos, sin)]`; `q`: `// [tokens, q, dim]`.
pub fn apart(
    (heads, stride): (Heads, usize),
    norms: Option<Norms<'_>>,
    angles: Option<&[f32]>,
    x: &[f32],
    q: &mut [f32],
    (precision, cache): (KvPrecision, Cache<'_>),
) {
    let Heads { q: q_heads, kv: kv_heads, dim: head_dim, .. } = heads;
    let (tokens, k_offset) = (x.len() / stride, q_heads * head_dim);
    let (mut rotated, stride) = match norms {
        None => (x.to_vec(), stride), // [tokens, stride]
        Some(norms) => (norm(heads, stride, norms, x), (q_heads + 2 * kv_heads) * head_dim),
    };
    if let Some(angles) = angles {
        compute(heads, stride, angles, &vec![1.0; tokens], &mut rotated);
    }
    for (row, rotated) in q.chunks_exact_mut(k_offset.max(1)).zip(rotated.chunks_exact(stride)) {
        row.copy_from_slice(&rotated[..k_offset]);
    }
    let pages: Vec<u32> = (0..tokens.div_ceil(cache::PAGE) as u32).collect();
    let append = Append { tokens, past: 0, pages: &pages, kv_heads, head_dim, stride, k_offset };
    cache::append(append, precision, &rotated, cache);
}
