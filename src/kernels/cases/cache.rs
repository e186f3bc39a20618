//! Cases of what writes the cache of keys and values.

use super::attention::precision_of;
use super::harness::{Harness, Holds, Output};
use super::{Case, EXACT, POINTWISE};
use crate::config::{KvPrecision, RopePairs};
use crate::error::Result;
use crate::kernels::Variant;
use crate::kernels::cache::Cache;
use crate::kernels::rope_append::{self as append, Heads, RopeAppend, TABLE, table_stride};
use crate::reference;
use crate::reference::cache::{from_half, pack};

/// Where a step stands, and what its table holds.
#[derive(Debug, Clone, Copy)]
pub struct Rotation {
    /// Of the first new token.
    pub position: usize,
    /// Position of the first row.
    pub table_first: usize,
    /// Rows of the table.
    pub rows: usize,
    /// Only quarter turns, and queries are scaled by powers of two: nothing is rounded.
    pub exact: bool,
}

/// The step's words and table.
#[derive(Debug)]
pub struct Table {
    rotation: Rotation,
    table: Vec<f32>,
}

impl Table {
    /// Random angles, and scales of queries.
    pub fn new(harness: &mut Harness<'_>, head_dim: usize, rotation: Rotation) -> Self {
        let mut table = Vec::with_capacity(rotation.rows * table_stride(head_dim));
        for _ in 0..rotation.rows {
            for _ in 0..head_dim / 2 {
                let angle = harness.random.number() * 4.0;
                let quarter = [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]][harness.random.bits() as usize % 4];
                table.extend(if rotation.exact { quarter } else { [angle.cos(), angle.sin()] });
            }
            table.extend([
                if rotation.exact { 2.0 } else { 1.5 + harness.random.number() },
                f32::NAN,
                f32::NAN,
                f32::NAN,
            ]);
        }
        Self { rotation, table }
    }

    /// What the kernels read.
    pub fn words(&self) -> Vec<u32> {
        let mut words = vec![u32::MAX; TABLE];
        (words[1], words[3]) = (self.rotation.position as u32, self.rotation.table_first as u32);
        words.extend(self.table.iter().map(|x| x.to_bits()));
        words
    }

    /// What the reference reads.
    pub fn step(&self) -> reference::rope_append::Step<'_> {
        let Rotation { position, table_first, .. } = self.rotation;
        reference::rope_append::Step { position, table_first, table: &self.table }
    }
}

/// The reference's name for heads.
pub(super) fn reference_heads(heads: Heads) -> reference::rope_append::Heads {
    let Heads { q, kv, dim, pairs } = heads;
    reference::rope_append::Heads { q, kv, dim, interleaved: pairs == RopePairs::Interleaved }
}

/// A cache to be written, with room for two tokens more.
#[derive(Debug)]
pub struct NewCache {
    precision: KvPrecision,
    planes: Vec<Output>,
}

impl NewCache {
    /// Every bit of which counts, or where only what the words are worth does.
    ///
    /// # Errors
    /// As [`crate::gpu::Allocator::alloc`].
    pub fn new(
        harness: &Harness<'_>,
        precision: KvPrecision,
        heads: Heads,
        tokens: usize,
        exact: bool,
    ) -> Result<Self> {
        let plane = |bytes: u64| {
            let words = ((tokens + 2) * heads.kv) as u64 * bytes / 4;
            let holds = match precision {
                _ if exact => Holds::Words,
                KvPrecision::F16 => Holds::Halves,
                _ => Holds::Numbers,
            };
            harness.output(words as usize, holds)
        };
        let planes = precision.head_bytes(heads.dim).into_iter().map(plane).collect::<Result<_>>()?;
        Ok(Self { precision, planes })
    }

    /// What the kernel binds.
    pub fn bound(&self) -> Cache {
        Cache { precision: self.precision, planes: self.planes.iter().map(|plane| plane.slice.clone()).collect() }
    }

    /// What the reference writes.
    pub fn words(&mut self) -> reference::cache::Cache<'_> {
        let mut words = self.planes.iter_mut().map(Output::expected_words);
        let mut plane = || words.next().unwrap_or_default();
        reference::cache::Cache { k: plane(), v: plane(), scales: plane() }
    }

    /// Hands it in.
    pub fn expect(self, harness: &mut Harness<'_>, magnitude: f32) {
        for mut plane in self.planes {
            plane.magnitude = magnitude;
            harness.expect(plane);
        }
    }
}

fn variant(heads: Heads, precision: KvPrecision) -> Variant {
    Variant::RopeAppend { head_dim: heads.dim, pairs: heads.pairs, precision }
}

/// New tokens, rotated; of 8-bit integers only what is exact.
pub fn rope_append(tokens: usize, heads: Heads, precision: KvPrecision, rotation: Rotation) -> Case {
    let sizes = format!("tokens={tokens} {heads:?} {rotation:?}");
    Case::new(variant(heads, precision), POINTWISE, sizes, move |harness| {
        let stride = (heads.q + 2 * heads.kv) * heads.dim;
        // 128ths, the largest of every head 127 of them: every precision holds them exactly.
        let number = |i: usize, bits: u32| if i.is_multiple_of(heads.dim) { 127 } else { (bits % 255) as i32 - 127 };
        let mut qkv: Vec<f32> =
            (0..tokens * stride).map(|i| number(i, harness.random.bits() >> 8) as f32 / 128.0).collect();
        let table = Table::new(harness, heads.dim, rotation);
        let step = harness.words(&table.words())?;
        let mut out = harness.in_place(&qkv)?;
        let mut cache = NewCache::new(harness, precision, heads, rotation.position + tokens, rotation.exact)?;
        let launch = RopeAppend { qkv: &out.slice, tokens, heads, step: &step, cache: &cache.bound() };
        append::record(&mut harness.recording, &launch)?;
        reference::rope_append::compute(
            reference_heads(heads),
            table.step(),
            &mut qkv,
            precision_of(precision),
            cache.words(),
        );
        out.expected().copy_from_slice(&qkv);
        harness.expect(out);
        cache.expect(harness, 2.0);
        Ok(())
    })
}

/// New tokens, tokens before them, key-value heads and their width.
#[derive(Debug, Clone, Copy)]
pub struct Tokens {
    /// New tokens.
    pub tokens: usize,
    /// Tokens before them.
    pub past: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
}

/// The words of a step at `position` that turns nothing and scales nothing, for `tokens` tokens.
pub fn unrotated(position: usize, tokens: usize, head_dim: usize) -> Vec<u32> {
    let mut words = vec![0; TABLE];
    (words[1], words[3]) = (position as u32, position as u32);
    let pairs = [1.0_f32, 0.0].into_iter().cycle().take(head_dim);
    let row: Vec<u32> = pairs.chain([1.0, 0.0, 0.0, 0.0]).map(f32::to_bits).collect();
    words.extend(row.iter().cycle().take(tokens * row.len()));
    words
}

/// Keys and values up to `size`, stored as they are.
pub fn stored(shape: Tokens, precision: KvPrecision, size: f32) -> Case {
    let Tokens { tokens, past, kv_heads, head_dim } = shape;
    let heads = Heads { q: 1, kv: kv_heads, dim: head_dim, pairs: RopePairs::Half };
    Case::new(variant(heads, precision), EXACT, format!("stored {shape:?} size={size}"), move |harness| {
        let stride = (1 + 2 * kv_heads) * head_dim;
        let mut qkv = harness.random.numbers(tokens * stride, size); // [tokens, stride]
        qkv.chunks_exact_mut(head_dim).for_each(|head| make_certain(precision, head));
        // Room for two tokens more than there will be.
        let room = (past + tokens + 2) * kv_heads;
        let plane = |bytes: u64| harness.output((room as u64 * bytes / 4) as usize, Holds::Words);
        let mut planes = precision.head_bytes(head_dim).into_iter().map(plane).collect::<Result<Vec<_>>>()?;
        let cache = Cache { precision, planes: planes.iter().map(|plane| plane.slice.clone()).collect() };
        let (qkv_slice, step) = (harness.input(&qkv)?, harness.words(&unrotated(past, tokens, head_dim))?);
        let launch = RopeAppend { qkv: &qkv_slice, tokens, heads, step: &step, cache: &cache };
        append::record(&mut harness.recording, &launch)?;

        let appended = reference::cache::Append { tokens, past, kv_heads, head_dim, stride, k_offset: head_dim };
        let mut words = planes.iter_mut().map(Output::expected_words);
        let mut plane = || words.next().unwrap_or_default();
        let cache = reference::cache::Cache { k: plane(), v: plane(), scales: plane() };
        reference::cache::append(appended, precision_of(precision), &qkv, cache);
        planes.into_iter().for_each(|plane| harness.expect(plane));
        Ok(())
    })
}

/// Moves numbers that devices may round one way or the other: below the normal 16-bit floats, and, since a division may be off by
/// 2.5 units in the last place, half way between two integers.
fn make_certain(precision: KvPrecision, head: &mut [f32]) {
    let (_, scale) = pack(precision_of(precision), head);
    let scale = from_half(scale);
    for x in head {
        let quant = *x / scale;
        match precision {
            KvPrecision::F32 => {}
            KvPrecision::F16 => *x = x.abs().max(LEAST).copysign(*x),
            KvPrecision::Int8 if (quant - quant.floor() - 0.5).abs() < 1e-3 => *x = quant.floor() * scale,
            KvPrecision::Int8 => {}
        }
    }
}

/// The least normal 16-bit float.
const LEAST: f32 = 1.0 / 16_384.0;
