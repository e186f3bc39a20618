//! Rotation of new queries and keys, and the append of keys and values to the cache.

use super::cache::{self, Append, Cache};
pub use super::heads::{HeadValues, Heads};
use super::heads::{Norms, norm};
use super::rope;
use crate::config::KvPrecision;

/// Positions of the new tokens.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    /// Position of the first token.
    pub position: usize,
    /// Position of the table's first row.
    pub table_first: usize,
    /// Cosines of all pairs, their sines, the scale of queries, padding. `// [positions, ropes, rope.words(dim)]`
    pub table: &'a [f32],
    /// The rope of the layer.
    pub rope: RopeChoice,
    /// The page table.
    pub pages: &'a [u32],
}

/// A choice among the ropes in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RopeChoice {
    /// Its index.
    pub index: usize,
    /// Number of ropes: rows of the table for each position.
    pub of: usize,
    /// Width of the widest heads that turn by one of them; at most that of this layer's if 0.
    pub widest: usize,
}

impl RopeChoice {
    /// The only one.
    pub const ONLY: Self = Self { index: 0, of: 1, widest: 0 };

    /// Words of a row of the table, for a layer with heads of width `dim`.
    pub fn words(self, dim: usize) -> usize {
        self.widest.max(dim) + 4
    }
}

/// Norms queries and keys if there are `norms`, rotates the queries in place, and stores rotated keys and the values in the cache.
///
/// `qkv`: `// [tokens, stride]`
pub fn compute(
    (heads, stride): (Heads, usize),
    norms: Option<Norms<'_>>,
    step: Step<'_>,
    qkv: &mut [f32],
    precision: KvPrecision,
    cache: Cache<'_>,
) {
    let Heads { q, kv, dim, .. } = heads;
    let (tokens, RopeChoice { index, of, .. }) = (qkv.len() / stride, step.rope);
    let rows = step.table.chunks_exact(step.rope.words(dim));
    let rows = rows.skip((step.position - step.table_first) * of + index).step_by(of).take(tokens);
    let of_pairs = |row: &[f32]| (0..dim / 2).map(|pair| [row[pair], row[dim / 2 + pair]]).collect::<Vec<_>>();
    let (angles, scales): (Vec<_>, Vec<f32>) = rows.map(|row| (of_pairs(row), row[dim])).unzip(); // [tokens, dim / 2, (cos, sin)]
    let (mut rotated, width) = match norms {
        None => (qkv.to_vec(), stride),                                       // [tokens, stride]
        Some(norms) => (norm(heads, stride, norms, qkv), (q + 2 * kv) * dim), // [tokens, (q + 2 * kv) * dim]
    };
    rope::compute(heads, width, angles.concat().as_flattened(), &scales, &mut rotated);
    let (past, pages) = (step.position, step.pages);
    let append = Append { tokens, past, pages, kv_heads: kv, head_dim: dim, stride: width, k_offset: q * dim };
    cache::append(append, precision, &rotated, cache);
    for (row, rotated) in qkv.chunks_exact_mut(stride).zip(rotated.chunks_exact(width)) {
        row[..q * dim].copy_from_slice(&rotated[..q * dim]);
    }
}
