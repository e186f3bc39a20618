//! Rotary embedding by a ready table of angles (<https://arxiv.org/abs/2104.09864>).

use crate::config::RopePairs;

/// The heads of a row of `qkv`: queries first, then keys.
#[derive(Debug, Clone, Copy)]
pub struct Heads {
    /// Query heads.
    pub q: usize,
    /// Key heads.
    pub k: usize,
    /// Width of a head.
    pub dim: usize,
    /// Which lanes of a head form a pair.
    pub pairs: RopePairs,
}

/// Rotates all query and key heads in place and scales the queries.
///
/// `qkv`: `// [tokens, stride]`; `angles`: `// [tokens, dim / 2, (cos, sin)]`; `q_scale`: `// [tokens]`.
pub fn compute(heads: Heads, stride: usize, angles: &[f32], q_scale: &[f32], qkv: &mut [f32]) {
    let pairs = heads.dim / 2;
    for (token, row) in qkv.chunks_exact_mut(stride).enumerate() {
        for head in 0..heads.q + heads.k {
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
