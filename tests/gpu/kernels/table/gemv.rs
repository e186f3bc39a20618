//! Rows of the kernels that multiply a few rows by a matrix, with a norm and fused operations.

use ocelli::config::{KvPrecision, RopePairs};
use ocelli::gpu::Features;
use ocelli::kernels::cases::{self, ACTIVATIONS, Case, Into, Product};
use ocelli::kernels::gemv::{Gemv, LaneLayouts, Tuning};
use ocelli::kernels::rope_append::Heads;
use ocelli::layout::{LaneLayout, Layout, MatrixShape};

use super::{PLAIN, into_in_turn, product, tiers};

fn matvec(layout: Layout, Product { m, n, k }: Product, norm: bool, into: Into, tuning: Tuning) -> Case {
    let gemv = Gemv::new((layout, MatrixShape { rows: n, cols: k }), m, 1, norm, tuning);
    cases::matvec(gemv, Product { m, n, k }, into, n)
}

fn gated(layout: Layout, Product { m, n, k }: Product, norm: bool, (kind, tuning): (usize, Tuning)) -> Case {
    let gemv = Gemv::new((layout, MatrixShape { rows: 2 * n, cols: k }), m, 2, norm, tuning);
    cases::gated_matvec(gemv, Product { m, n, k }, ACTIVATIONS[kind])
}

fn qkv(layout: Layout, m: usize, k: usize, heads: Heads, cache: (KvPrecision, bool), tuning: Tuning) -> Case {
    let rows = (heads.q + 2 * heads.kv) * heads.dim;
    let gemv = Gemv::new((layout, MatrixShape { rows, cols: k }), m, 2, true, tuning);
    // Even numbers of rows belong to several conversations.
    cases::qkv_matvec(gemv, m, k, heads, cache, m.is_multiple_of(2))
}

/// Rows with one fused output.
pub(crate) fn matvec_rows() -> Vec<Case> {
    all().into_iter().filter(|case| case.kernel.shader().file() == "matvec").collect()
}

/// Rows with a gate and up, and with queries, keys and values.
pub(crate) fn fused_rows() -> Vec<Case> {
    all().into_iter().filter(|case| case.kernel.shader().file() != "matvec").collect()
}

fn all() -> Vec<Case> {
    [plain_rows(), lane_rows(), dot_rows(), ordered_rows()].into_iter().flatten().collect()
}

/// Divisions of threads: for hardware, for software, with and without a remainder.
const TUNINGS: [Tuning; 4] = [
    Tuning::HARDWARE,
    Tuning::SOFTWARE,
    Tuning { lanes: 32, lane_groups: 8, row_groups: 2, uses: Features::NONE, emulated: 0 },
    Tuning { lanes: 3, lane_groups: 5, row_groups: 4, uses: Features::NONE, emulated: 0 },
];

/// Input sizes for a layout: whole super-blocks, or any length.
fn inputs(layout: Layout, index: usize) -> usize {
    if layout.is_k_quant() {
        [256, 512, 768][index % 3]
    } else {
        [4, 12, 28, 32, 36, 96, 100, 124, 260, 588][index % 10]
    }
}

/// Every launch here is a pipeline of its own, and compilation takes most of the time: not all sizes are combined with one another.
fn plain_rows() -> Vec<Case> {
    let mut rows = Vec::new();
    for (at, layout) in Layout::ALL.into_iter().enumerate() {
        let heads = |dim, pairs| Heads { q: 3, kv: 1 + at % 2, dim, pairs };
        for (turn, m) in [1, 2 + at % 3, 5 + at % 4].into_iter().enumerate() {
            let (index, tuning) = (at + turn, TUNINGS[(at + turn) % 4]);
            // The last tuning unrolls the most: few rows suffice for it.
            let m = if (at + turn) % 4 == 3 { m.min(2) } else { m };
            let (k, into) = (inputs(layout, 3 * at + turn), into_in_turn(index));
            rows.extend([1, 65, 132].map(|n| matvec(layout, Product { m, n, k }, index % 3 != 2, into, tuning)));
        }
        // More rows than a workgroup computes, and a row of the largest length.
        let k = inputs(layout, at);
        rows.push(matvec(layout, product(9, 33, k), true, into_in_turn(7), Tuning::HARDWARE));
        rows.push(matvec(layout, product(1, 5, 9216), true, PLAIN, Tuning::SOFTWARE));
        rows.extend([4, 132].map(|n| gated(layout, product(1, n, 3072), true, (0, Tuning::HARDWARE))));
        rows.push(gated(layout, product(1 + at % 4, 68, k), at % 2 == 0, (at % 3, TUNINGS[1 + at % 2])));
        let cache = [KvPrecision::F32, KvPrecision::F16][at % 2];
        // More planes need more bindings than every device has.
        if layout.plane_units().len() <= 2 {
            rows.push(qkv(layout, 1, k, heads(64, RopePairs::Half), (cache, false), Tuning::HARDWARE));
            let odd = heads([8, 24, 40, 128][at % 4], [RopePairs::Interleaved, RopePairs::Half][at / 4 % 2]);
            rows.push(qkv(layout, 1 + at % 5, k, odd, (cache, !layout.is_quantised()), TUNINGS[1 + at % 3]));
        }
    }
    // More slots than one dimension of a grid has.
    let single = Tuning { lanes: 4, lane_groups: 1, row_groups: 1, uses: Features::NONE, emulated: 0 };
    rows.push(matvec(Layout::Q4_0, product(2, 32_768 * 4 + 131, 4), true, into_in_turn(7), single));
    rows.push(gated(Layout::Q4_0, product(1, 32_768 * 4 + 132, 4), true, (0, single)));
    rows
}

/// Subgroups of the device's own size, with various expected sizes, and emulated ones of every size: the expected size, others, larger than
/// the workgroup, and an incomplete last one.
fn lane_tunings() -> Vec<Tuning> {
    let emulated = |lanes, lane_groups, row_groups, emulated| Tuning {
        lanes,
        lane_groups,
        row_groups,
        uses: Features::NONE,
        emulated,
    };
    let own = tiers(&Tuning::ALL, |tuning| tuning.uses).into_iter();
    let emulated = [
        emulated(4, 16, 2, 4),
        emulated(8, 8, 1, 8),
        emulated(16, 4, 2, 16),
        emulated(32, 2, 1, 32),
        emulated(64, 2, 2, 64),
        emulated(128, 1, 1, 128),
        emulated(32, 2, 2, 8),
        emulated(16, 3, 2, 32),
        emulated(32, 1, 2, 64),
    ];
    own.chain(emulated).collect()
}

fn lane_rows() -> Vec<Case> {
    let mut rows = Vec::new();
    for (index, tuning) in lane_tunings().into_iter().enumerate() {
        let layout = |turn: usize| Layout::ALL[(index + turn) % Layout::ALL.len()];
        // Emulated lanes take a barrier for each row, and long compilations.
        let m = if tuning.emulated > 0 { 1 + index % 2 } else { [8, 2, 3][index % 3] };
        for (turn, (m, n)) in [(1, 65), (m, 36)].into_iter().enumerate() {
            let layout = layout(3 * turn);
            let sizes = Product { m, n, k: inputs(layout, index + 4 * turn) };
            rows.push(matvec(layout, sizes, (index + turn) % 3 != 2, into_in_turn(index + turn), tuning));
        }
        let sizes = product(1 + index % 2, 68, inputs(layout(5), index + 2));
        rows.push(gated(layout(5), sizes, index % 2 == 0, (index % 3, tuning)));
        let layout = [Layout::Q4_0, Layout::Q8_0, Layout::F32, Layout::F16, Layout::Q4_64][index % 5];
        let pairs = [RopePairs::Half, RopePairs::Interleaved][index / 2 % 2];
        let heads = Heads { q: 3, kv: 1, dim: [64, 24][index % 2], pairs };
        let cache = ([KvPrecision::F32, KvPrecision::F16][index % 2], index % 3 == 0 && !layout.is_quantised());
        rows.push(qkv(layout, 2 - index % 2, inputs(layout, index), heads, cache, tuning));
    }
    // Inputs of all lengths with subgroups, up to the longest rows.
    for (index, layout) in Layout::ALL.into_iter().enumerate() {
        let tuning = Tuning { row_groups: 1 + index % 2, ..Tuning::SUBGROUPS };
        let sizes = if index % 3 == 0 { product(4, 5, inputs(layout, index)) } else { product(1, 129, 3072) };
        rows.push(matvec(layout, sizes, true, into_in_turn(index), tuning));
        // Two lanes of a wide subgroup share a block, and some have none in the last turn.
        let sizes = product(1 + index % 3, 70, 768);
        rows.push(matvec(layout, sizes, index % 2 == 0, into_in_turn(index), Tuning::WIDE));
        let emulated = Tuning { uses: Features::NONE, emulated: 64, ..Tuning::WIDE };
        rows.push(gated(
            layout,
            product(1 + index % 2, 36, inputs(layout, index)),
            index % 2 == 1,
            (index % 3, emulated),
        ));
    }
    rows
}

/// Rows in lane layouts with groups of every size; the norm's weight and the outputs have their own.
fn ordered_rows() -> Vec<Case> {
    let widths = [256, 512, 768, 1024, 2304];
    let emulated = Tuning { lanes: 32, lane_groups: 2, row_groups: 1, uses: Features::NONE, emulated: 32 };
    let tunings = [Tuning::HARDWARE, emulated, TUNINGS[3], Tuning::SUBGROUPS, Tuning::DOT, Tuning::SOFTWARE];
    let mut rows = Vec::new();
    for (at, layout) in Layout::ALL.into_iter().enumerate() {
        for turn in 0..2 {
            let (tuning, m) = (tunings[(at + 3 * turn) % 6], [1, 4, 2][(at + turn) % 3]);
            let k = if layout.is_k_quant() { widths[at % 5] } else { [64, 128, 896, 1024, 320][(at + turn) % 5] };
            let lane_layouts = LaneLayouts {
                x: LaneLayout::for_lanes(k),
                gain: [LaneLayout::for_lanes(k), LaneLayout::NATURAL][at % 2],
                y: LaneLayout::NATURAL,
            };
            let norm = (at + turn) % 3 != 0;
            for n in [64, 128 + 64 * turn, 256] {
                let gemv = Gemv::new((layout, MatrixShape { rows: n, cols: k }), m, 1, norm, tuning);
                let gemv = gemv.with_lane_layouts(LaneLayouts { y: LaneLayout::for_lanes(n), ..lane_layouts });
                rows.push(cases::matvec(
                    gemv,
                    Product { m, n, k },
                    Into { around: (0, 0), ..into_in_turn(turn) },
                    n / 2,
                ));
                let gemv = Gemv::new((layout, MatrixShape { rows: 2 * n, cols: k }), m, 2, norm, tuning);
                let gemv = gemv.with_lane_layouts(LaneLayouts { y: LaneLayout::for_lanes(n), ..lane_layouts });
                rows.push(cases::gated_matvec(gemv, Product { m, n, k }, ACTIVATIONS[at % 3]));
            }
            if layout.plane_units().len() <= 2 {
                let heads = Heads { q: 3, kv: 1, dim: 64, pairs: RopePairs::Half };
                let gemv = Gemv::new((layout, MatrixShape { rows: 320, cols: k }), m, 2, true, tuning)
                    .with_lane_layouts(lane_layouts);
                rows.push(
                    cases::qkv_matvec(gemv, m, k, heads, (KvPrecision::F16, false), false)
                        .with_lane_layout(LaneLayout::for_keys(64, 2)),
                );
            }
        }
    }
    rows
}

/// Every quantised layout in 8-bit integers, with lanes and rows that split a row of inputs into several tiles.
fn dot_rows() -> Vec<Case> {
    let many = Tuning { lanes: 32, lane_groups: 2, row_groups: 4, ..Tuning::DOT };
    let tunings = [Tuning::DOT, Tuning { lane_groups: 8, ..Tuning::DOT }, Tuning::DOT_SOFTWARE, many];
    let mut rows = Vec::new();
    for (at, layout) in Layout::ALL.into_iter().filter(|layout| layout.is_quantised()).enumerate() {
        for (turn, m) in [1, 2 + at % 3].into_iter().enumerate() {
            let (tuning, k) = (tunings[(at + turn) % 4], inputs(layout, 3 * at + turn));
            rows.extend(
                [65, 132].map(|n| matvec(layout, Product { m, n, k }, at % 3 != 2, into_in_turn(at + turn), tuning)),
            );
        }
        rows.push(matvec(layout, product(1, 9, 16_384), at % 2 == 0, PLAIN, tunings[at % 3]));
        rows.push(matvec(layout, product(9, 33, 1536), true, into_in_turn(7), tunings[(at + 1) % 3]));
        rows.push(gated(
            layout,
            product(1 + at % 2 * 7, 68, inputs(layout, at)),
            at % 2 == 0,
            (at % 3, tunings[at % 3]),
        ));
        if layout.plane_units().len() <= 2 {
            let (cache, heads) = (KvPrecision::F16, Heads { q: 3, kv: 1, dim: 64, pairs: RopePairs::Half });
            rows.push(qkv(layout, 1 + at % 2, inputs(layout, at), heads, (cache, false), tunings[at % 3]));
        }
    }
    rows
}
