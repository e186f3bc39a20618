//! Attention of the rows of a picture to one another, as every vision tower has it.

use std::ops::Range;

use crate::config::{KvPrecision, RopePairs};
use crate::error::Result;
use crate::gpu::{Allocator, Buffer, Purpose, Recording, Slice};
use crate::kernels::attention::{self, Attention, Heads, KeysValues, Shape};
use crate::kernels::rope::{self, Rope};

/// What offsets of bindings are multiples of.
const ALIGNMENT: u64 = 256;

/// Heads of a tower: as many of keys and of values as of queries.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PatchHeads {
    pub(crate) count: usize,
    pub(crate) dim: usize,
    /// Which numbers of a head rotate together, where any do.
    pub(crate) pairs: RopePairs,
}

impl PatchHeads {
    /// Numbers in all of them.
    pub(crate) fn width(self) -> usize {
        self.count * self.dim
    }
}

/// Rows of the product that makes queries, keys and values.
#[derive(Debug)]
pub(crate) struct Fresh<'a> {
    /// Queries, keys and values side by side, or some of them. `// [rows, stride]`
    pub(crate) x: &'a Slice,
    /// By which they are rotated, where they are: as [`rope::table`] has it. `// [rows, dim]`
    pub(crate) angles: Option<&'a Slice>,
    /// Whether there are queries, and whether there are keys and values.
    pub(crate) has: (bool, bool),
    /// Takes the queries. `// [rows, heads * dim]`
    pub(crate) q: &'a Slice,
}

/// Keys and values of all rows of a picture.
#[derive(Debug)]
pub(crate) struct PatchKeys {
    heads: PatchHeads,
    precision: KvPrecision,
    /// Keys, and behind them values. `// [2, rows, heads * dim]`
    pub(crate) buffer: Buffer,
    /// Bytes before the values.
    values_at: u64,
}

impl PatchKeys {
    /// For so many rows, in at least so many bytes.
    pub(crate) fn new(
        gpu: &dyn Allocator,
        heads: PatchHeads,
        precision: KvPrecision,
        (rows, least): (usize, u64),
    ) -> Result<Self> {
        let plane = rows as u64 * Self::row_bytes(heads, precision);
        let values_at = plane.next_multiple_of(ALIGNMENT);
        let buffer = gpu.alloc("vision kv", Purpose::Activations, (values_at + plane).max(least))?;
        Ok(Self { heads, precision, buffer, values_at })
    }

    fn row_bytes(heads: PatchHeads, precision: KvPrecision) -> u64 {
        heads.count as u64 * precision.head_bytes(heads.dim)[0]
    }

    /// Some rows of keys and of values.
    fn rows(&self, range: &Range<usize>) -> [Slice; 2] {
        let bytes = Self::row_bytes(self.heads, self.precision);
        let slice = |at: u64| self.buffer.slice(at + range.start as u64 * bytes..at + range.end as u64 * bytes);
        [slice(0), slice(self.values_at)]
    }

    /// Records that fresh rows are rotated and taken apart, into the rows `range`.
    pub(crate) fn take(&self, recording: &mut Recording, range: &Range<usize>, fresh: &Fresh<'_>) -> Result<()> {
        let &Fresh { x, angles, has: (has_q, has_kv), q } = fresh;
        let PatchHeads { count, dim, pairs } = self.heads;
        let of = |has: bool| if has { count } else { 0 };
        let heads = rope::Heads { q: of(has_q), kv: of(has_kv), dim, pairs };
        let (tokens, stride) = (range.len(), (heads.q + 2 * heads.kv) * dim);
        // What there is none of is bound as well.
        let bound = |has: bool| if has { tokens } else { 1 };
        let (x, q) = (&floats(x, tokens, stride), &floats(q, bound(has_q), self.heads.width()));
        let kv = &self.rows(&(range.start..range.start + bound(has_kv)));
        rope::record(recording, &Rope { x, stride, tokens, heads, angles, q, kv, precision: self.precision })
    }

    /// Records attention of queries to the first rows. `q`, `out`: `// [q_tokens, heads * dim]`
    pub(crate) fn attend(
        &self,
        recording: &mut Recording,
        (q, q_tokens): (&Slice, usize),
        kv_tokens: usize,
        out: &Slice,
    ) -> Result<()> {
        let PatchHeads { count, dim, .. } = self.heads;
        let width = self.heads.width();
        let heads = |buffer: Slice| Heads { buffer, stride: width, offset: 0 };
        let [k, v] = self.rows(&(0..kv_tokens)).map(heads);
        let shape = Shape { q_tokens, kv_tokens, q_heads: count, kv_heads: count, head_dim: dim, causal_past: None };
        let kv = KeysValues::Rows { k: &k, v: &v, precision: self.precision };
        let tuning = attention::Tuning::of(recording.kernel_config());
        let (q, out) = (&heads(floats(q, q_tokens, width)), &floats(out, q_tokens, width));
        attention::record(recording, &Attention { q, gates: None, kv, out, shape, tuning })
    }
}

/// The first rows of a buffer of rows of `width` 32-bit floats.
fn floats(buffer: &Slice, rows: usize, width: usize) -> Slice {
    Slice { bytes: (rows * width * size_of::<f32>()) as u64, ..buffer.clone() }
}
