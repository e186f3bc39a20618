//! Rotation of new queries and keys, and the append of keys and values to the cache.

use super::cache::{self, Append, Cache};
pub use super::rope::Heads;
use super::{rms_norm, rope};
use crate::config::KvPrecision;

/// Positions of the new tokens.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    /// Position of the first token.
    pub position: usize,
    /// Position of the table's first row.
    pub table_first: usize,
    /// Cosines of all pairs, their sines, the scale of queries, three words of padding. `// [positions, ropes, dim + 4]`
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
}

impl RopeChoice {
    /// The only one.
    pub const ONLY: Self = Self { index: 0, of: 1 };
}

/// Norms the queries and keys of `qkv` head by head, in `f64`, with the weights `gains` of queries and of keys.
fn norm((Heads { q, kv, dim, .. }, stride): (Heads, usize), gains: [&[f32]; 2], eps: f32, qkv: &mut [f32]) {
    for row in qkv.chunks_exact_mut(stride) {
        for (head, x) in row.chunks_exact_mut(dim).take(q + kv).enumerate() {
            let before = x.to_vec();
            rms_norm::compute(eps, &before, gains[usize::from(head >= q)], x);
        }
    }
}

/// Norms queries and keys if there are `norms` (weights of queries and of keys, epsilon), rotates the queries in place, and stores rotated
/// keys and the values in the cache.
///
/// `qkv`: `// [tokens, stride]`
pub fn compute(
    (heads, stride): (Heads, usize),
    norms: Option<([&[f32]; 2], f32)>,
    step: Step<'_>,
    qkv: &mut [f32],
    precision: KvPrecision,
    cache: Cache<'_>,
) {
    let Heads { q, kv, dim, .. } = heads;
    let tokens = qkv.len() / stride;
    let RopeChoice { index, of } = step.rope;
    let rows =
        step.table.chunks_exact(dim + 4).skip((step.position - step.table_first) * of + index).step_by(of).take(tokens);
    let of_pairs = |row: &[f32]| (0..dim / 2).map(|pair| [row[pair], row[dim / 2 + pair]]).collect::<Vec<_>>();
    let (angles, scales): (Vec<_>, Vec<f32>) = rows.map(|row| (of_pairs(row), row[dim])).unzip(); // [tokens, dim / 2, (cos, sin)]
    let mut rotated = qkv.to_vec(); // [tokens, stride]
    if let Some((gains, eps)) = norms {
        norm((heads, stride), gains, eps, &mut rotated);
    }
    rope::compute(heads, stride, angles.concat().as_flattened(), &scales, &mut rotated);
    let (past, pages) = (step.position, step.pages);
    let append = Append { tokens, past, pages, kv_heads: kv, head_dim: dim, stride, k_offset: q * dim };
    cache::append(append, precision, &rotated, cache);
    for (row, rotated) in qkv.chunks_exact_mut(stride).zip(rotated.chunks_exact(stride)) {
        row[..q * dim].copy_from_slice(&rotated[..q * dim]);
    }
}
