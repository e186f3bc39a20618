//! Heads of a row of queries, keys and values, and their norms.

use crate::config::RopePairs;
use crate::reference::rms_norm;

/// Heads of a row of `qkv`: queries, keys, values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heads {
    /// Query heads.
    pub q: usize,
    /// Key heads, and value heads.
    pub kv: usize,
    /// Width of a head; a multiple of 4, at most [`crate::config::MAX_HEAD_DIM`].
    pub dim: usize,
    /// Pairs of lanes that are rotated together.
    pub pairs: RopePairs,
}

/// How the values of a head are made, where queries and keys are normed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HeadValues {
    /// They are stored as they are.
    Plain,
    /// They are normed without a weight.
    Normed,
    /// They are the keys, normed without a weight and not rotated. Rows have no values.
    Keys,
}

/// Norms of queries and keys: their weights, epsilon, and how values are made.
pub type Norms<'a> = ([&'a [f32]; 2], f32, HeadValues);

/// Norms the heads of rows in `f64`. `qkv`: `// [tokens, stride]`. Returns rows of queries, keys and values, `// [tokens, (q + 2 * kv) * dim]`
pub(in crate::reference) fn norm(
    Heads { q, kv, dim, .. }: Heads,
    stride: usize,
    (gains, eps, values): Norms<'_>,
    qkv: &[f32],
) -> Vec<f32> {
    let (mut rows, ones) = (Vec::new(), vec![1.0; dim]);
    for row in qkv.chunks_exact(stride) {
        let heads: Vec<&[f32]> = row.chunks_exact(dim).collect();
        let mut add = |head: &[f32], gain: &[f32]| {
            let mut normed = vec![0.0; dim];
            rms_norm::compute(eps, head, gain, &mut normed);
            rows.extend(normed);
        };
        heads[..q].iter().for_each(|head| add(head, gains[0]));
        heads[q..q + kv].iter().for_each(|head| add(head, gains[1]));
        match values {
            HeadValues::Plain => heads[q + kv..q + 2 * kv].iter().for_each(|head| rows.extend(*head)),
            HeadValues::Normed => heads[q + kv..q + 2 * kv].iter().for_each(|head| add(head, &ones)),
            HeadValues::Keys => heads[q..q + kv].iter().for_each(|head| add(head, &ones)),
        }
    }
    rows
}
