//! Keys and values of all rows of a picture, and attention to them.

use std::ops::Range;

use super::options::TowerOptions;
use crate::config::{KvPrecision, RopePairs};
use crate::error::Result;
use crate::gpu::{Allocator, Buffer, Purpose, Recording, Slice};
use crate::kernels::Scoring;
use crate::kernels::attention::{self, Attention, Heads, KeysValues, Shape};
use crate::kernels::rope::{self, Rope};
use crate::kernels::rope_append::HeadNorms;

/// The parts of a row that a product has made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parts {
    /// Queries, keys and values side by side.
    All,
    /// Queries.
    Queries,
    /// Keys and values side by side.
    KeysValues,
}

/// Keys and values of all rows of a picture.
#[derive(Debug, Clone)]
pub(super) struct PatchKeys {
    heads: usize,
    head_dim: usize,
    pairs: RopePairs,
    precision: KvPrecision,
    scoring: Scoring,
    /// Keys, then values. `// [2, rows, heads * head_dim]`
    pub(super) buffer: Buffer,
    /// Bytes before the values.
    values_at: u64,
}

impl PatchKeys {
    pub(super) fn new(
        gpu: &dyn Allocator,
        options: &TowerOptions,
        precision: KvPrecision,
        rows: usize,
    ) -> Result<Self> {
        let &TowerOptions { heads, head_dim, hidden, ref rope, ref projector, score_scale, .. } = options;
        let usual = Scoring::of_heads(head_dim);
        let scoring = Scoring { scale: score_scale.unwrap_or(usual.scale), ..usual };
        let plane = (rows * heads) as u64 * precision.head_bytes(head_dim)[0];
        // Bindings begin at multiples of 256 bytes.
        let values_at = plane.next_multiple_of(256);
        let least = if projector.in_keys { rows * hidden * size_of::<f32>() } else { 0 };
        let buffer = gpu.alloc("vision kv", Purpose::Activations, (values_at + plane).max(least as u64))?;
        let pairs = rope.as_ref().map_or(RopePairs::Half, |rope| rope.pairs);
        Ok(Self { heads, head_dim, pairs, precision, scoring, buffer, values_at })
    }

    /// Some rows of keys and of values.
    fn rows(&self, range: &Range<usize>) -> [Slice; 2] {
        let bytes = self.heads as u64 * self.precision.head_bytes(self.head_dim)[0];
        let slice = |at: u64| self.buffer.slice(at + range.start as u64 * bytes..at + range.end as u64 * bytes);
        [slice(0), slice(self.values_at)]
    }

    /// Records that the heads of the rows `x` are normed if there are `norms`, rotated by `angles` if there are any, and taken apart: keys and values into the rows `range`, queries
    /// into `q`.
    pub(super) fn take(
        &self,
        recording: &mut Recording,
        range: &Range<usize>,
        parts: Parts,
        x: &Slice,
        (angles, norms): (Option<&Slice>, Option<&HeadNorms>),
        q: &Slice,
    ) -> Result<()> {
        let (has_q, has_kv) = (parts != Parts::KeysValues, parts != Parts::Queries);
        let &Self { head_dim: dim, pairs, precision, .. } = self;
        let of = |has: bool| if has { self.heads } else { 0 };
        let heads = rope::Heads { q: of(has_q), kv: of(has_kv), dim, pairs };
        let (tokens, stride) = (range.len(), (heads.q + 2 * heads.kv) * dim);
        // Parts that the rows do not have are bound as well.
        let bound = |has: bool| if has { tokens } else { 1 };
        let (x, q) = (&floats(x, tokens, stride), &floats(q, bound(has_q), self.heads * dim));
        let kv = &self.rows(&(range.start..range.start + bound(has_kv)));
        rope::record(recording, &Rope { x, stride, tokens, heads, angles, norms, q, kv, precision })
    }

    /// Records attention of `q_tokens` queries to the first `kv_tokens` rows. `q`, `out`: `// [q_tokens, heads * head_dim]`
    pub(super) fn attend(
        &self,
        recording: &mut Recording,
        q: &Slice,
        q_tokens: usize,
        kv_tokens: usize,
        out: &Slice,
    ) -> Result<()> {
        let &Self { heads: count, head_dim, precision, .. } = self;
        let width = count * head_dim;
        let heads = |buffer: Slice| Heads { buffer, stride: width, offset: 0 };
        let [k, v] = self.rows(&(0..kv_tokens)).map(heads);
        let shape = Shape { q_tokens, kv_tokens, q_heads: count, kv_heads: count, head_dim, causal_past: None };
        let kv = KeysValues::Rows { k: &k, v: &v, precision };
        let tuning = attention::Tuning::of(recording.kernel_config());
        let (q, out) = (&heads(floats(q, q_tokens, width)), &floats(out, q_tokens, width));
        attention::record(recording, &Attention { q, gates: None, kv, out, shape, scoring: self.scoring, tuning })
    }

    /// Records attention of the rows of each of some of `windows` windows to one another. Row `place * windows + window` is a place of a window: in
    /// the rows of a place, the heads of all windows are side by side. `q`: `// [size, windows, width]`; `out`: `// [size, range, width]`
    pub(super) fn attend_windows(
        &self,
        recording: &mut Recording,
        (q, out): (&Slice, &Slice),
        (size, windows): (usize, usize),
        range: &Range<usize>,
    ) -> Result<()> {
        let &Self { heads: of_row, head_dim, precision, .. } = self;
        let (width, count) = (of_row * head_dim, of_row * range.len());
        let heads = |buffer: Slice| Heads { buffer, stride: windows * width, offset: range.start * width };
        let [k, v] = self.rows(&(0..size * windows)).map(heads);
        let shape =
            Shape { q_tokens: size, kv_tokens: size, q_heads: count, kv_heads: count, head_dim, causal_past: None };
        let kv = KeysValues::Rows { k: &k, v: &v, precision };
        let tuning = attention::Tuning::of(recording.kernel_config());
        let (q, out) = (&heads(floats(q, size * windows, width)), &floats(out, size * range.len(), width));
        attention::record(recording, &Attention { q, gates: None, kv, out, shape, scoring: self.scoring, tuning })
    }
}

/// The first rows of a buffer of rows of `width` 32-bit floats.
fn floats(buffer: &Slice, rows: usize, width: usize) -> Slice {
    Slice { bytes: (rows * width * size_of::<f32>()) as u64, ..buffer.clone() }
}
