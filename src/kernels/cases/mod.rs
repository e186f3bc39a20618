//! Known inputs for every kernel, and what the reference makes of them: for the test on the device (`self_test`), the table in
//! `tests/kernels`, and through it the browsers'.
//!
//! A new kernel needs a function here that makes a [`Case`] from sizes, and a line in [`of`].

mod attention;
mod cache;
mod gemv;
mod harness;
mod pointwise;
mod products;
mod sampling;

use std::fmt;

pub use attention::{
    Attending, Attention, Scores, Source, attention, attention_join, attention_step, cached, precision_of,
};
pub use cache::{NewCache, Rotation, Table, Tokens, rope_append, stored, unrotated};
pub use gemv::{gated_matvec, matvec, qkv_matvec};
pub use harness::{FOREIGN, Harness, Holds, Outcome, Output, POISON, Random};
pub use pointwise::{ACTIVATIONS, activation, glu, patch_merge, patchify, rms_norm, rope};
pub use products::{Against, Into, embed_rows, magnitude, matmul, random_matrix, seen};
pub use sampling::{Draw, Logits, accept, sample, sample_filter, sample_scan, scan_rows};

use super::Variant;
use crate::config::RopePairs;
use crate::error::{Error, Result};
use crate::kernels::gemv::Gemv;
use crate::kernels::rope_append::Heads;
use crate::sampling::options::SamplingOptions;
use crate::weights::layout::Layout;

/// Copies change nothing.
pub const EXACT: f64 = 0.0;
/// A handful of roundings.
pub const POINTWISE: f64 = 1e-6;
/// Sums in `f32`.
pub const SUM: f64 = 1e-5;
/// Products of 16-bit floats.
pub const HALVES: f64 = 2e-3;
/// What inputs of 8 bits are off by.
pub const EIGHT_BITS: f64 = 1e-2;

/// Makes inputs, records the kernel, hands in what the reference makes of the same.
type Record = Box<dyn Fn(&mut Harness<'_>) -> Result<()> + Send + Sync>;

/// A launch of a kernel on known inputs.
pub struct Case {
    /// The kernel.
    pub variant: Variant,
    /// Sizes worth reading.
    pub sizes: String,
    /// Largest difference allowed, relative to the largest number of the output.
    pub tolerance: f64,
    record: Record,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.variant.kernel().name(), self.sizes)
    }
}

impl Case {
    fn new(
        variant: Variant,
        tolerance: f64,
        sizes: String,
        record: impl Fn(&mut Harness<'_>) -> Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self { variant, sizes, tolerance, record: Box::new(record) }
    }

    /// With another tolerance.
    #[must_use]
    pub fn within(self, tolerance: f64) -> Self {
        Self { tolerance, ..self }
    }

    /// Records it in a harness.
    ///
    /// # Errors
    /// As [`crate::gpu::Allocator::alloc`]; [`Error::Internal`] if what it launches is another kernel than it says.
    pub fn record(&self, harness: &mut Harness<'_>) -> Result<()> {
        let (outputs, launches) = (harness.outputs().count(), harness.recording.dispatches().count());
        (self.record)(harness)?;
        harness.set_tolerance(outputs, self.tolerance);
        let launched = harness.recording.dispatches().nth(launches).and_then(|dispatch| Variant::of(&dispatch.kernel));
        if launched == Some(self.variant) {
            return Ok(());
        }
        Err(Error::Internal { detail: format!("{self:?} launched {launched:?}, not {:?}", self.variant) })
    }
}

/// Inputs of products with few outputs: whole units of every layout, and blocks for all lanes that may share a row, twice for some. With
/// many outputs the test would take more memory than a small model.
const INPUTS: usize = 80 * 32;

/// Tokens of a vocabulary: two workgroups of the scan, the last of them not full.
const VOCAB: usize = 1024 + 77;

/// Columns that make up one unit of all planes.
fn unit(layout: Layout) -> usize {
    layout.plane_units().iter().map(|plane| plane.cols).max().unwrap_or(1)
}

/// `k` inputs, or some more if a product's last block goes beyond them.
fn inputs(k: usize, is_ragged: bool) -> usize {
    if is_ragged { k + 4 } else { k }
}

/// What tells on a device whether a kernel computes rightly. Sizes cross the borders of tiles and are small otherwise.
pub fn of(variant: Variant) -> Vec<Case> {
    let heads = |dim, pairs| Heads { q: 3, kv: 1, dim, pairs };
    let rotation = |rows, exact| Rotation { position: 3, table_first: 2, rows, exact };
    let into = Into { bias: true, accumulate: true, around: (5, 2) };
    let product = |gemv: Gemv, n, k| (gemv.rows(), n, inputs(k, gemv.is_ragged()));
    match variant {
        Variant::Accept => vec![accept(VOCAB, Logits::Flat, (4, 2)), scan_rows(VOCAB, Logits::Flat, 4)],
        Variant::Activation => (0..ACTIVATIONS.len()).map(|kind| activation(131, kind, 6.0)).collect(),
        Variant::Attention { head_dim, precision, tuning } => {
            let cached = Attention { tokens: (9, 40), heads: (4, 2), head_dim, past: Some(31), tuning };
            let fused = Attention { tokens: (33, 33), heads: (1, 1), head_dim, past: None, tuning };
            let cached = [(cached, Source::Cache(precision))];
            let fused = (precision == crate::config::KvPrecision::F32).then_some((fused, Source::Fused));
            cached.into_iter().chain(fused).map(|(shape, source)| attention(shape, source, Scores::Mild)).collect()
        }
        Variant::AttentionJoin { head_dim } => vec![attention_join(6, 2, head_dim)],
        Variant::AttentionStep { head_dim, precision, rows, is_split, tuning } => {
            // Two tokens where the rows can be those of two.
            let m = if rows.is_multiple_of(2) { 2 } else { 1 };
            let (heads, splits) = ((2 * rows / m, 2), if is_split { 2 } else { 1 });
            let shape = Attending { m, splits, position: tuning.tile() + 1, heads, head_dim, tuning };
            vec![attention_step(shape, precision, Scores::Mild)]
        }
        Variant::EmbedRows { layout, parts } => {
            let rows = if parts > 1 { (8 * parts - 4, 8) } else { (20, 20) };
            vec![embed_rows(layout, 7, unit(layout), rows, 3)]
        }
        Variant::GatedMatvec(gemv) => vec![gated_matvec(gemv, product(gemv, 8, INPUTS / 2), 0)],
        Variant::Glu => (0..ACTIVATIONS.len()).map(|kind| glu(3, 37, kind, 6.0)).collect(),
        Variant::Matmul { layout, ragged, tuning } => {
            let k = inputs(if layout.is_k_quant() { 2 } else { 3 } * unit(layout), ragged);
            vec![matmul(Against::Seen, (layout, tuning), (33, 68, k), into, 68)]
        }
        Variant::Matvec(gemv) if gemv.has_norm() => vec![matvec(gemv, product(gemv, 4, INPUTS), into, 4)],
        Variant::Matvec(gemv) => {
            vec![matvec(gemv, product(gemv, 20, INPUTS / 2), into, 20)]
        }
        Variant::PatchMerge => vec![patch_merge((2, 3), 2, 5, 1..6)],
        Variant::Patchify => vec![patchify((2, 3), 14, 1..6)],
        Variant::QkvMatvec { gemv, head_dim, pairs, precision, has_bias } => {
            let (m, _, k) = product(gemv, 0, unit(gemv.layout()));
            vec![qkv_matvec(gemv, (m, k), heads(head_dim, pairs), (precision, has_bias))]
        }
        Variant::RmsNorm(tuning) => vec![rms_norm(tuning, (3, 260), 1e-5, 3.0)],
        Variant::Rope => [RopePairs::Half, RopePairs::Interleaved].map(|pairs| rope(5, (3, 1), 40, pairs, 4)).into(),
        Variant::RopeAppend { head_dim, pairs, precision } => {
            vec![rope_append(3, heads(head_dim, pairs), precision, rotation(6, true))]
        }
        Variant::Sample => draws().map(|draw| sample(VOCAB, Logits::Flat, draw)).into(),
        Variant::SampleFilter => {
            let options = SamplingOptions { temperature: 2.0, top_k: Some(99), top_p: 0.75, min_p: 0.5, ..warm() };
            vec![sample_filter(VOCAB, Logits::Flat, Draw { options, drawn: 3 })]
        }
        Variant::SampleScan => draws().map(|draw| sample_scan(VOCAB, Logits::Flat, draw)).into(),
    }
}

fn warm() -> SamplingOptions {
    SamplingOptions { temperature: 0.5, frequency_penalty: 0.25, seed: 1 << 40 | 5, ..SamplingOptions::default() }
}

/// The likeliest token, and one among all.
fn draws() -> [Draw; 2] {
    let greedy = SamplingOptions { temperature: 0.0, ..warm() };
    [greedy, warm()].map(|options| Draw { options, drawn: 3 })
}
