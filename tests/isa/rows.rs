//! The kernels whose code is checked, at the shape of Ministral 3 3B.

use std::collections::BTreeSet;

use ocelli::config::{KvPrecision, RopePairs};
use ocelli::gpu::{Features, Kernel};
use ocelli::kernels::attention::Source;
use ocelli::kernels::gemv::{Gemv, LaneLayouts, Tuning};
use ocelli::kernels::rope_append::HeadValues;
use ocelli::kernels::{
    ScoreOptions, attention, attention_join, attention_step, clamp, delta_scan, embed_rows, gate_rows, gated_head_norm,
    gated_matvec, glu, layer_norm, matmul, matvec, pool_rows, qkv_matvec, rms_norm, rope, rope_append, sample,
    sample_filter, sample_scan,
};
use ocelli::layout::{BLOCK, LaneLayout, Layout, MatrixShape, ROW_GROUP};

/// A kernel, and the work of its loops.
pub(crate) struct Row {
    pub(crate) kernel: Kernel,
    /// For each loop that multiplies: multiply-adds of an iteration, and iterations for each run of the surrounding code.
    pub(crate) work: Vec<(usize, usize)>,
    /// Distinguishes tunings that use the same features.
    label: String,
}

impl Row {
    fn new(kernel: Kernel, work: Vec<(usize, usize)>) -> Self {
        Self { kernel, work, label: String::new() }
    }

    /// The kernel's name, the optional features that it uses, and its tuning.
    pub(crate) fn name(&self) -> String {
        let (name, needs) = (self.kernel.name(), self.kernel.needs());
        let needs = if needs == Features::NONE { String::new() } else { format!(",{}", needs.name()) };
        format!("{name}{needs}{}", self.label)
    }

    /// Returns true for kernels that suit devices whose threads have few registers, which excludes larger tiles of products and of
    /// attention.
    pub(crate) fn is_for_few_registers(&self) -> bool {
        let has_tiles =
            ["matmul<", "attention<", "attention_step<"].iter().any(|kernel| self.name().starts_with(kernel));
        !has_tiles || [",32x64", ",few", ",apart"].iter().any(|label| self.name().ends_with(label))
    }
}

const HIDDEN: usize = 3072;
/// Most storage bindings of a device with fused kernels.
const BINDINGS: usize = 10;

/// All rows.
pub(crate) fn rows() -> Vec<Row> {
    let by_layout = Layout::ALL.into_iter().flat_map(|layout| gemv(layout, 1).into_iter().chain(products(layout)));
    let suffixes = [4, 8].into_iter().flat_map(|m| gemv(Layout::Q4_0, m));
    let of_decoder = KvPrecision::ALL
        .into_iter()
        .flat_map(|kv| attention(128, Source::Cache(kv), false).chain(attention_step(128, kv)));
    let gated = attention(128, Source::Cache(KvPrecision::F16), true);
    let all = by_layout
        .chain(suffixes)
        .chain(of_decoder)
        .chain(attention(64, Source::Rows(KvPrecision::F32), false))
        .chain(attention(64, Source::Rows(KvPrecision::F16), false))
        .chain(gated)
        .chain(others());
    distinct(all)
}

/// The first of all tunings with the same features, whose loops are alike.
fn distinct(rows: impl Iterator<Item = Row>) -> Vec<Row> {
    let mut names = BTreeSet::new();
    rows.filter(|row| names.insert(row.name())).collect()
}

/// Kernels of a step, a prompt and a picture with 4-bit weights and 16-bit keys.
pub(crate) fn usual_rows() -> Vec<Row> {
    let precision = KvPrecision::F16;
    let products = gemv(Layout::Q4_0, 1).into_iter().chain(products(Layout::Q4_0));
    let of_prompts =
        attention(128, Source::Cache(precision), false).chain(attention(64, Source::Rows(precision), false));
    distinct(products.chain(of_prompts).chain(attention_step(128, precision)).chain(others()))
}

/// The usual rows, and the default kernels for prompts and steps of devices with few registers, in all layouts and precisions.
pub(crate) fn rows_for_few_registers() -> Vec<Row> {
    let of_prompts = Layout::ALL.into_iter().flat_map(products);
    let attentions = KvPrecision::ALL
        .into_iter()
        .flat_map(|kv| attention(128, Source::Cache(kv), kv == KvPrecision::F16).chain(attention_step(128, kv)));
    let small = of_prompts.chain(attentions).filter(Row::is_for_few_registers);
    distinct(usual_rows().into_iter().chain(small))
}

/// The tunings for hardware in a table, and those that use an optional feature.
fn of_hardware<T: Copy + PartialEq>(
    table: &'static [T],
    suits: T,
    uses: impl Fn(&T) -> Features,
) -> impl Iterator<Item = T> {
    table.iter().copied().filter(move |tuning| *tuning == suits || uses(tuning) != Features::NONE)
}

/// Products of `m` rows with and without norm, with a gate, and for queries, keys and values.
fn gemv(layout: Layout, m: usize) -> Vec<Row> {
    of_hardware(&Tuning::ALL, Tuning::HARDWARE, |tuning| tuning.uses)
        .flat_map(|tuning| gemv_in(layout, m, tuning))
        .collect()
}

fn gemv_in(layout: Layout, m: usize, tuning: Tuning) -> Vec<Row> {
    let weight = (layout, MatrixShape { rows: HIDDEN, cols: HIDDEN });
    let lane_layout = LaneLayout::for_lanes(HIDDEN);
    let lane_layouts = LaneLayouts { x: lane_layout, gain: lane_layout, y: lane_layout };
    let gemv = |fused_outputs, norm| Gemv::new(weight, m, fused_outputs, norm, tuning).with_lane_layouts(lane_layouts);
    let row = |kernel: Kernel, fused_outputs: usize| {
        let tiles = if m > 4 { 1 } else { (tuning.row_groups / fused_outputs).max(1) };
        let inputs = gemv(fused_outputs, false).inputs_at_once();
        let turns = HIDDEN / inputs / tuning.lanes;
        let label = if tuning.lanes > Tuning::SUBGROUPS.lanes { ",wide" } else { "" };
        let work = vec![(m * tiles * fused_outputs * ROW_GROUP * inputs, turns)];
        Row { label: label.to_owned(), ..Row::new(kernel, work) }
    };
    let rows = [
        row(matvec::kernel(&gemv(1, false)), 1),
        row(matvec::kernel(&gemv(1, true)), 1),
        row(gated_matvec::kernel(&gemv(2, true)), 2),
        row(qkv_matvec::kernel(&gemv(2, true), (128, RopePairs::Half), KvPrecision::F16, false), 2),
    ];
    rows.into_iter().filter(|row| row.kernel.bindings().expect("bindings").len() <= BINDINGS).collect()
}

/// Products of many rows.
fn products(layout: Layout) -> impl Iterator<Item = Row> {
    use matmul::Tuning;
    let suits = |tuning: &Tuning| ![Tuning::SOFTWARE, Tuning::QUADS].contains(tuning);
    Tuning::ALL.into_iter().filter(suits).map(move |tuning| {
        let kernel = matmul::kernel(layout, false, tuning);
        let inputs = match kernel.needs() {
            needs if needs.contains(Features::DOT) => BLOCK,
            _ => 8 * tuning.words,
        };
        let label = || format!(",{}x{}", tuning.tile_rows(), tuning.tile_columns());
        let label = tuning.is_tiled().then(label).unwrap_or_default();
        let work = vec![(tuning.rows * tuning.groups * ROW_GROUP * inputs, HIDDEN / inputs)];
        Row { label, ..Row::new(kernel, work) }
    })
}

/// Attention of many rows. The code around the loops runs once for each tile of keys.
fn attention(dim: usize, source: Source, is_gated: bool) -> impl Iterator<Item = Row> {
    use attention::Tuning;
    let tunings = [(Tuning::HARDWARE, ""), (Tuning::FEW_REGISTERS, ",few"), (Tuning::UNSTAGED, ",unstaged")];
    tunings.into_iter().map(move |(tuning, label)| {
        let fitting = tuning.fitting(dim, source);
        let (rows, columns) = (4 * fitting.rows4, dim.div_ceil(4 * fitting.lanes) * 4);
        let inputs = if fitting.columns > 0 { 16 } else { 8 };
        let scores = (rows * fitting.keys * inputs, dim / inputs);
        let values = (fitting.unroll * rows * columns, fitting.tile() / fitting.unroll);
        Row {
            label: label.to_owned(),
            ..Row::new(attention::kernel(dim, source, is_gated, ScoreOptions::default(), tuning), vec![scores, values])
        }
    })
}

/// Attention of a step, four query heads to a key-value head: over the whole context, with and without gates, and over a split of it.
fn attention_step(dim: usize, precision: KvPrecision) -> impl Iterator<Item = Row> {
    use attention_step::{Results, Tuning};
    let tunings = of_hardware(&Tuning::ALL, Tuning::HARDWARE, |tuning| tuning.uses);
    tunings.chain([Tuning::FEW_REGISTERS]).flat_map(move |tuning| {
        let group = 4;
        let turns = tuning.tile() / (tuning.threads / (dim / 4)).max(1);
        let values = (group * 4 * tuning.unroll, turns / tuning.unroll);
        let (label, scores) = if tuning.shares_keys {
            // Keys that a thread takes at a time.
            let keys = if precision == KvPrecision::Int8 { 2 } else { tuning.keys };
            let label = if tuning.keys < Tuning::HARDWARE.keys { ",few" } else { "" };
            (label, (group * keys * 4, dim / 16 * 4 * tuning.positions / keys))
        } else {
            (",apart", (group * tuning.positions * 4, dim / 4))
        };
        [Results::Plain, Results::Gated, Results::Partial].map(|results| {
            let q_layout = attention_step::query_layout(dim, precision, group, tuning);
            let kernel =
                attention_step::kernel(dim, precision, group, q_layout, results, ScoreOptions::default(), tuning);
            Row { label: label.to_owned(), ..Row::new(kernel, vec![scores, values]) }
        })
    })
}

/// Kernels without large products.
fn others() -> Vec<Row> {
    let kernels = [
        embed_rows::kernel(Layout::Q4_0, 1, false),
        embed_rows::kernel(Layout::Q6K, 1, false),
        attention_join::kernel(128, false),
        attention_join::kernel(256, true),
        rope_append::kernel(128, None, 1, KvPrecision::F16),
        rope_append::kernel(128, None, 1, KvPrecision::Int8),
        rope_append::kernel(256, Some(HeadValues::Plain), 1, KvPrecision::F16),
        rope_append::kernel(512, Some(HeadValues::Normed), 2, KvPrecision::F16),
        gate_rows::kernel(),
        clamp::kernel(),
        pool_rows::kernel(),
        delta_scan::kernel(128),
        gated_head_norm::kernel(),
        layer_norm::kernel(),
        rope::kernel(true, false, KvPrecision::F16),
        rope::kernel(true, true, KvPrecision::F32),
        rms_norm::kernel(rms_norm::Tuning { uses: Features::NONE, emulated: 0 }, rms_norm::Results::Stored),
        rms_norm::kernel(rms_norm::Tuning { uses: Features::SUBGROUPS, emulated: 0 }, rms_norm::Results::Stored),
        glu::kernel(),
        sample_scan::kernel(),
        sample::kernel(),
        sample_filter::kernel(),
    ];
    kernels.into_iter().map(|kernel| Row::new(kernel, Vec::new())).collect()
}
