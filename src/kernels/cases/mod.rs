//! Known inputs for every kernel, with results of the reference. Used by the test on the user's device (`self_test`), the table in
//! `tests/gpu/kernels`, and through that table by the tests in browsers.
//!
//! A new kernel needs a function here that makes a [`Case`] from sizes, and a line for [`of`].

mod attention;
mod cache;
mod gemv;
mod harness;
mod large;
mod pictures;
mod pointwise;
mod products;
mod recurrent;
mod sampling;

use std::fmt;

pub use attention::{Attending, Scores, attention, attention_join, attention_step};
pub use cache::{Rotation, exact_numbers, rope, rope_append, signs, step_words};
pub use gemv::{gated_matvec, matvec, qkv_matvec};
pub use harness::{FOREIGN, Harness, Holds, Outcome, Output, POISON, Random, Twin};
pub use large::large;
pub use pictures::{add_features, patch_merge, patchify, pool_rows, position_rows};
pub use pointwise::{
    ACTIVATIONS, activation, clamp, gate_rows, glu, layer_norm, peak, rms_norm, soft_cap, subgroup_probe,
};
pub use products::{Against, Into, Product, embed_rows, matmul, random_matrix, seen};
pub use recurrent::{NormedHeads, delta_scan, gated_head_norm};
pub use sampling::{Draw, Logits, accept, sample, sample_filter, sample_scan, scan_rows};

use super::attention_step::Results;
use super::cache::pack;
use super::{RowShape, Variant};
use crate::config::RopePairs;
use crate::error::{Error, Result};
use crate::gpu::Kernel;
use crate::kernels::attention::{Shape, Source};
use crate::kernels::delta_scan::DeltaHeads;
use crate::kernels::gate_rows::RowPart;
use crate::kernels::gated_head_norm::NormMode;
use crate::kernels::gemv::Gemv;
use crate::kernels::patch_merge::Squares;
use crate::kernels::position_rows::{Grid, PositionTable};
use crate::kernels::rope_append::{Heads, RopeChoice};
use crate::kernels::{ScoreOptions, Scoring};
use crate::layout::{LaneLayout, Layout};
use crate::sampling::options::SamplingOptions;

/// Tolerance of copies.
pub const EXACT: f64 = 0.0;
/// Tolerance of a handful of roundings.
pub const POINTWISE: f64 = 1e-6;
/// Tolerance of sums in `f32`.
pub const SUM: f64 = 1e-5;
/// Tolerance of products of 16-bit floats.
pub const HALVES: f64 = 2e-3;

/// Makes inputs, records the kernel, and returns its outputs with the expectations of the reference.
type Record = Box<dyn Fn(&mut Harness<'_>) -> Result<Vec<Output>> + Send + Sync>;

/// A launch of a kernel on known inputs.
pub struct Case {
    /// The kernel.
    pub kernel: Kernel,
    /// Sizes for reports.
    pub sizes: String,
    /// Largest difference allowed, relative to the largest number of the output.
    pub tolerance: f64,
    /// Lane layout of outputs and norm weights that matvec kernels read afterwards.
    lane_layout: LaneLayout,
    record: Record,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kernel.name(), self.sizes)
    }
}

impl Case {
    fn new(
        kernel: Kernel,
        tolerance: f64,
        sizes: String,
        record: impl Fn(&mut Harness<'_>) -> Result<Vec<Output>> + Send + Sync + 'static,
    ) -> Self {
        Self { kernel, sizes, tolerance, lane_layout: LaneLayout::NATURAL, record: Box::new(record) }
    }

    /// Returns the case with another tolerance.
    #[must_use]
    pub fn within(self, tolerance: f64) -> Self {
        Self { tolerance, ..self }
    }

    /// Returns the case with rows in a lane layout. The products themselves take their lane layouts from the kernel.
    #[must_use]
    pub fn with_lane_layout(self, lane_layout: LaneLayout) -> Self {
        Self { sizes: label(format_args!("{} {lane_layout:?}", self.sizes)), lane_layout, ..self }
    }

    /// Records the case in a harness.
    ///
    /// # Errors
    /// The same as for [`crate::gpu::Allocator::alloc`]; [`Error::Internal`] if another kernel than the declared one is launched.
    pub fn record(&self, harness: &mut Harness<'_>) -> Result<()> {
        let before = harness.recording.dispatches().count();
        harness.lane_layout = self.lane_layout;
        let outputs = (self.record)(harness)?;
        let launched = harness.recording.dispatches().nth(before).map(|dispatch| &dispatch.kernel);
        if launched != Some(&self.kernel) {
            let launched = launched.map(Kernel::name);
            return Err(Error::Internal { detail: format!("{self:?} launched {launched:?}") });
        }
        let (kernel, uses, tolerance) = (self.kernel.name(), self.kernel.needs(), self.tolerance);
        let unknown =
            || Outcome { kernel: kernel.to_owned(), uses, tolerance, worst: 0.0, checked: 0, detail: String::new() };
        harness.outputs.extend(outputs.into_iter().map(|output| (unknown(), output)));
        Ok(())
    }
}

/// A label for test reports. Empty in release builds: the formatting code would add kilobytes to the wasm module.
fn label(sizes: fmt::Arguments<'_>) -> String {
    if cfg!(debug_assertions) { sizes.to_string() } else { String::new() }
}

/// Inputs of products with few outputs: whole units of every layout, and blocks for all lanes that may share a row, two for some. With many
/// outputs the test would take more memory than a small model.
const INPUTS: usize = 80 * 32;

/// Tokens of a vocabulary: two workgroups of the scan, the last one incomplete.
const VOCAB: usize = 1024 + 77;

/// Columns that make up one unit of all planes.
fn unit(layout: Layout) -> usize {
    layout.plane_units().iter().map(|plane| plane.cols).max().unwrap_or(1)
}

/// `k` inputs, or more if the last block of a product extends past the row.
fn inputs(k: usize, is_ragged: bool) -> usize {
    if is_ragged { k + 4 } else { k }
}

/// Cases that show whether a kernel computes correctly on a device. Sizes cross the borders of tiles and are small otherwise.
///
/// # Errors
/// [`Error::Internal`] for a kernel without a case.
pub fn of(kernel: &Kernel) -> Result<Vec<Case>> {
    match kernel.origin() {
        Some(Variant::Plain(name)) => plain(name),
        Some(variant) => Some(of_variant(*variant)),
        None => None,
    }
    .ok_or_else(|| Error::Internal { detail: format!("{} has no case", kernel.name()) })
}

fn plain(name: &str) -> Option<Vec<Case>> {
    Some(match name {
        "accept" => vec![accept(VOCAB, Logits::FLAT, 4, 2), scan_rows(VOCAB, Logits::FLAT, 4)],
        "activation" => ACTIVATIONS.map(|kind| activation(131, kind, 6.0)).into(),
        "add_features" => vec![add_features(7, 8, 2)],
        "gated_head_norm" => {
            let case = |(tokens, mode)| {
                gated_head_norm(NormedHeads { tokens, heads: 3, dim: 64, channels: 203, spare: 1 }, mode)
            };
            let arranged = case((2, NormMode::Norm)).with_lane_layout(LaneLayout::for_lanes(64));
            [(2, NormMode::All), (5, NormMode::All), (2, NormMode::Norm), (2, NormMode::Keep)]
                .map(case)
                .into_iter()
                .chain([arranged])
                .collect()
        }
        "clamp" => vec![clamp(RowShape { rows: 3, width: 37 }, RowPart { stride: 64, offset: 9 })],
        "pool_rows" => vec![
            pool_rows(RowShape { rows: 3, width: 260 }, 9, Some(1e-6)),
            pool_rows(RowShape { rows: 3, width: 260 }, 4, None),
        ],
        "gate_rows" => {
            let part = RowPart { stride: 136, offset: 4 };
            let case = |width, kind| gate_rows(RowShape { rows: 3, width }, part, kind, 6.0);
            let arranged = case(128, ACTIVATIONS[0]).with_lane_layout(LaneLayout::for_lanes(128));
            let skipping = gate_rows(
                RowShape { rows: 3, width: 36 },
                RowPart { offset: 2 * 136 + 4, ..part },
                ACTIVATIONS[0],
                6.0,
            );
            ACTIVATIONS.map(|kind| case(36, kind)).into_iter().chain([arranged, skipping]).collect()
        }
        "glu" => {
            let arranged = glu(3, 128, ACTIVATIONS[0], 6.0).with_lane_layout(LaneLayout::for_lanes(128));
            ACTIVATIONS.map(|kind| glu(3, 37, kind, 6.0)).into_iter().chain([arranged]).collect()
        }
        "layer_norm" => vec![layer_norm(RowShape { rows: 3, width: 260 }, 1e-6, 3.0)],
        "patch_merge" => vec![patch_merge(2, Squares { columns: 3, merge: 2, channels: 5 }, 1..6)],
        "patchify" => vec![
            patchify(Grid { rows: 2, columns: 3, merge: 1 }, 14, 1..6),
            patchify(Grid { rows: 4, columns: 6, merge: 2 }, 3, 1..23),
        ],
        "position_rows" => {
            let grid = Grid { rows: 4, columns: 6, merge: 2 };
            vec![position_rows(grid, PositionTable { side: 5, width: 8 }, 1..23)]
        }
        "sample" => draws().map(|draw| sample(VOCAB, Logits::FLAT, draw)).into(),
        "sample_filter" => {
            let options = SamplingOptions { temperature: 2.0, top_k: Some(99), top_p: 0.75, min_p: 0.5, ..warm() };
            vec![sample_filter(VOCAB, Logits::FLAT, Draw { options, drawn: 3 })]
        }
        "soft_cap" => vec![soft_cap(131, 30.0, 90.0)],
        "sample_scan" => draws().map(|draw| sample_scan(VOCAB, Logits::FLAT, draw)).into(),
        _ => return None,
    })
}

fn of_variant(variant: Variant) -> Vec<Case> {
    let heads = |dim, pairs| Heads { q: 3, kv: 1, dim, pairs };
    let into = Into { bias: true, accumulate: true, around: (5, 2) };
    let product = |gemv: Gemv, n, k| Product { m: gemv.rows, n, k: inputs(k, gemv.ragged) };
    match variant {
        Variant::Plain(name) => plain(name).unwrap_or_default(),
        Variant::Attention { head_dim, source, is_gated, scores, tuning } => {
            let tile = tuning.fitting(head_dim, source).tile();
            let (q_tokens, kv_tokens, (q_heads, kv_heads), causal_past) = match source {
                Source::Rows(_) => (tile + 1, tile + 1, (1, 1), None),
                Source::Cache(_) => (9, tile + 8, (4, 2), Some(tile - 1)),
            };
            let shape = Shape { q_tokens, kv_tokens, q_heads, kv_heads, head_dim, causal_past };
            // Some rows see nothing of the first tile.
            vec![attention(shape, scored(head_dim, scores, 8), tuning, (source, is_gated), Scores::MILD)]
        }
        Variant::AttentionJoin { head_dim, is_gated } => {
            let case = || attention_join(6, 2, head_dim, is_gated);
            vec![case(), case().with_lane_layout(LaneLayout::for_lanes(2 * head_dim))]
        }
        Variant::AttentionStep { head_dim, precision, rows, q_layout, results, scores, tuning } => {
            // Two tokens if the rows of a workgroup can belong to two.
            let m = if rows.is_multiple_of(2) { 2 } else { 1 };
            let (heads, splits) = ((2 * rows / m, 2), if results == Results::Partial { 2 } else { 1 });
            let (position, gated) = (tuning.tile() + 1, results == Results::Gated);
            let scoring = scored(head_dim, scores, 5);
            let shape =
                Attending { m, splits, position, scoring, q_layout, gated, ..Attending::of(heads, head_dim, tuning) };
            let case = || attention_step(shape, precision, Scores::MILD);
            let arranged = (results != Results::Partial)
                .then(|| case().with_lane_layout(LaneLayout::for_lanes(heads.0 * head_dim)));
            [case()].into_iter().chain(arranged).collect()
        }
        Variant::DeltaScan { dim } => {
            [false, true].map(|tiled| delta_scan(3, DeltaHeads { keys: 2, values: 4, dim, tiled }, tiled)).into()
        }
        Variant::EmbedRows { layout, parts, is_scaled } => {
            let (rows, rows_of_part) = if parts > 1 { (8 * parts - 4, 8) } else { (20, 20) };
            let scale = is_scaled.then_some(5.5);
            let case = |width| embed_rows((layout, scale), 7, width, rows, rows_of_part, 3);
            vec![case(unit(layout)), case(256).with_lane_layout(LaneLayout::for_lanes(256))]
        }
        Variant::GatedMatvec(gemv) => {
            let arranged = gated_matvec(
                gemv.with_output_layout(LaneLayout::for_lanes(64)),
                product(gemv, 64, 256),
                ACTIVATIONS[0],
            );
            vec![gated_matvec(gemv, product(gemv, 8, INPUTS / 2), ACTIVATIONS[0]), arranged]
        }
        Variant::Matmul { layout, ragged, tuning } => {
            let k = inputs(if layout.is_k_quant() { 2 } else { 3 } * unit(layout), ragged);
            vec![matmul(Against::Seen, (layout, tuning), Product { m: 33, n: 68, k }, into, 68)]
        }
        Variant::Matvec(gemv) if gemv.norm => vec![matvec(gemv, product(gemv, 4, INPUTS), into, 4)],
        Variant::Matvec(gemv) => {
            let onto = Into { bias: true, accumulate: true, around: (0, 0) };
            let arranged = matvec(gemv.with_output_layout(LaneLayout::for_lanes(64)), product(gemv, 64, 256), onto, 64);
            vec![matvec(gemv, product(gemv, 20, INPUTS / 2), into, 20), arranged]
        }
        Variant::Peak(numbers) => vec![peak(numbers, 131, 9)],
        Variant::QkvMatvec { gemv, head_dim, pairs, precision, has_bias } => {
            let Product { m, k, .. } = product(gemv, 0, unit(gemv.layout).max(gemv.lane_layouts.x.group()));
            let case = || qkv_matvec(gemv, m, k, heads(head_dim, pairs), (precision, has_bias), false);
            vec![case(), case().with_lane_layout(LaneLayout::for_keys(head_dim, pack(precision)))]
        }
        Variant::RmsNorm { tuning, results } => {
            let case = |width| rms_norm((tuning, results), (3, width), 1e-5, 3.0);
            vec![case(260), case(256).with_lane_layout(LaneLayout::for_lanes(256))]
        }
        Variant::Rope { is_rotated, has_norms, precision } => {
            let case = |pairs| rope(5, heads(40, pairs), (is_rotated, has_norms), precision, 4);
            [RopePairs::Half, RopePairs::Interleaved].map(case).into()
        }
        Variant::RopeAppend { head_dim, norms, ropes, precision } => {
            let rope = RopeChoice { index: ropes - 1, of: ropes, widest: 0 };
            let rotation = Rotation { position: 3, table_first: 2, rows: 6, exact: true, apart: false, rope };
            let numbers = if norms.is_some() { signs } else { exact_numbers };
            let pairs = [RopePairs::Half, RopePairs::Interleaved, RopePairs::First(head_dim.min(8))];
            let case = |pairs| rope_append(3, (heads(head_dim, pairs), norms), precision, rotation, numbers);
            let arranged = case(RopePairs::Half).with_lane_layout(LaneLayout::for_keys(head_dim, pack(precision)));
            pairs.map(case).into_iter().chain([arranged]).collect()
        }
        Variant::SubgroupProbe { threads, emulated } => vec![subgroup_probe(threads, emulated, 3)],
    }
}

/// Scores with these options, of a window of so many keys.
fn scored(head_dim: usize, options: ScoreOptions, window: usize) -> Scoring {
    let (soft_cap, window) = (options.is_capped.then_some(1.5), options.is_windowed.then_some(window));
    Scoring { soft_cap, window, ..Scoring::of_heads(head_dim) }
}

fn warm() -> SamplingOptions {
    SamplingOptions { temperature: 0.5, frequency_penalty: 0.25, seed: 1 << 40 | 5, ..SamplingOptions::default() }
}

/// Greedy sampling, and sampling among all tokens.
fn draws() -> [Draw; 2] {
    let greedy = SamplingOptions { temperature: 0.0, ..warm() };
    [greedy, warm()].map(|options| Draw { options, drawn: 3 })
}
