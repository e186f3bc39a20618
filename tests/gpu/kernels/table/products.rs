//! Rows of the kernels that only read a weight matrix.

use ocelli::gpu::Features;
use ocelli::kernels::cases::{Against, Case, HALVES, Into, Product, embed_rows, matmul, matvec};
use ocelli::kernels::{gemv, matmul as many};
use ocelli::layout::{LaneLayout, Layout, MatrixShape};

use super::pointwise::{FOLDED, WIDTHS};
use super::{PLAIN, into_in_turn, product, tiers};

/// Error of 8-bit inputs.
const EIGHT_BITS: f64 = 1e-2;

fn k_quants() -> impl Iterator<Item = Layout> {
    Layout::ALL.into_iter().filter(|layout| layout.is_k_quant())
}

fn others() -> impl Iterator<Item = Layout> {
    Layout::ALL.into_iter().filter(|layout| !layout.is_k_quant())
}

/// A number of inputs that suits the layout.
fn inputs(layout: Layout, any: usize, k_quant: usize) -> usize {
    if layout.is_k_quant() { k_quant } else { any }
}

/// A product of few rows, for hardware and software in turns.
fn few(index: usize, layout: Layout, Product { m, n, k }: Product, into: Into, rows_of_part: usize) -> Case {
    let tuning = [gemv::Tuning::HARDWARE, gemv::Tuning::SOFTWARE][index % 2];
    let gemv = gemv::Gemv::new((layout, MatrixShape { rows: n, cols: k }), m, 1, false, tuning);
    matvec(gemv, Product { m, n, k }, into, rows_of_part)
}

/// A product of many rows, also without workgroup memory.
fn many(index: usize, layout: Layout, sizes: Product, into: Into, rows_of_part: usize) -> Case {
    use many::Tuning;
    let tuning = [Tuning::HARDWARE, Tuning::SOFTWARE, Tuning::REGISTERS][index % 3];
    matmul(Against::Seen, (layout, tuning), sizes, into, rows_of_part)
}

// The lengths of these lists are coprime, so that every n and m is combined with many k, and all of them with every kind of result.
const INPUTS: [usize; 13] = [4, 12, 28, 32, 36, 60, 64, 68, 100, 124, 128, 132, 588];

pub(crate) fn matvec_rows() -> Vec<Case> {
    let mut rows = Vec::new();
    for layout in Layout::ALL {
        let counts: &[usize] = if layout.is_k_quant() { &[1, 3, 4] } else { &[1, 2, 3, 4, 5] };
        for (at, n) in WIDTHS.into_iter().enumerate() {
            for &m in counts {
                let index = rows.len();
                let k = inputs(layout, INPUTS[index % 13], [256, 512, 768][(at + m) % 3]);
                rows.push(few(index, layout, Product { m, n, k }, into_in_turn(index / 3), n));
            }
        }
        rows.push(few(0, layout, product(1, 129, 3072), into_in_turn(7), 129));
        rows.push(few(1, layout, product(3, 5, 9216), PLAIN, 5));
        // Matrices in several parts, cut at any group of rows.
        for (n, part) in [(5, 4), (129, 64), (130, 12), (588, 256)] {
            let index = rows.len();
            rows.push(few(
                index,
                layout,
                product(index % 4 + 1, n, inputs(layout, 100, 512)),
                into_in_turn(index),
                part,
            ));
        }
    }
    for (index, layout) in others().enumerate() {
        // More groups of four outputs than one dimension of a grid has.
        rows.push(few(index, layout, product(2, 32_768 * 4 + 131, 4), into_in_turn(7), 32_768 * 4 + 131));
    }
    rows
}

pub(crate) fn matmul_rows() -> Vec<Case> {
    let mut rows = Vec::new();
    for layout in Layout::ALL {
        let counts: &[usize] = if layout.is_k_quant() { &[1, 33, 70] } else { &[1, 2, 3, 4, 5, 31, 33, 70] };
        for (at, n) in WIDTHS.into_iter().enumerate() {
            for &m in counts {
                let index = rows.len();
                let k = inputs(layout, INPUTS[index % 13], [256, 512, 768][(at + m) % 3]);
                rows.push(many(index, layout, Product { m, n, k }, into_in_turn(index / 3), n));
            }
        }
        rows.push(many(0, layout, product(33, 65, 3072), into_in_turn(7), 65));
        if !layout.is_k_quant() {
            rows.push(many(1, layout, product(70, 588, 588), into_in_turn(7), 588));
        }
        for (n, part) in [(5, 4), (129, 64), (130, 12), (588, 256)] {
            let index = rows.len();
            rows.push(many(index, layout, product(33, n, inputs(layout, 100, 512)), into_in_turn(index + 5), part));
        }
    }
    rows.extend(matmul_tile_rows());
    rows.extend(matmul_tier_rows());
    rows
}

/// Tiles of every size: less than one, a whole number, and a remainder.
fn matmul_tile_rows() -> Vec<Case> {
    use many::Tuning;
    let mut rows = Vec::new();
    for tuning in [Tuning::TILE, Tuning::NARROW_TILE, Tuning::SMALL_TILE, Tuning::LARGE_TILE] {
        let (m, n) = (tuning.tile_rows(), tuning.tile_columns());
        for (index, layout) in Layout::ALL.into_iter().enumerate() {
            // Rows of planes with several cache lines, the last one incomplete, and with less than one.
            let k = |any| inputs(layout, any, if any > 1000 { 2304 } else { 256 });
            let long = [1156, 1120][index % 2];
            let short = [100, 4, 64][index % 3];
            let sizes = [
                product(m, n, k(128)),
                product(m + 1, n + 1, k(long)),
                product(2 * m - 1, 3 * n - 5, k(short)),
                product(m - 5, n - 2, k(36)),
            ];
            for (at, sizes) in sizes.into_iter().enumerate() {
                let part = if at == 2 { sizes.n / 2 } else { sizes.n };
                rows.push(matmul(Against::Seen, (layout, tuning), sizes, into_in_turn(index + 3 * at), part));
            }
        }
    }
    rows
}

/// Tunings with optional features, compared with the products of rounded and of exact inputs.
fn matmul_tier_rows() -> Vec<Case> {
    let mut rows = Vec::new();
    for (turn, tuning) in tiers(&many::Tuning::ALL, |tuning| tuning.uses).into_iter().enumerate() {
        for (index, layout) in Layout::ALL.into_iter().enumerate() {
            let k = inputs(layout, [588, 100, 128][(index + turn) % 3], 768);
            let kernel = (layout, tuning);
            let into = into_in_turn(index);
            rows.extend(
                [product(3, 5, k), product(33, 65, k)].map(|sizes| matmul(Against::Seen, kernel, sizes, into, sizes.n)),
            );
            let given = matmul(Against::Given, kernel, product(9, 130, 2 * k), into, 130);
            rows.push(match tuning.uses {
                uses if uses.contains(Features::F16) => given.within(HALVES),
                Features::DOT => given.within(EIGHT_BITS),
                _ => given,
            });
        }
    }
    rows
}

pub(crate) fn embed_rows_rows() -> Vec<Case> {
    let mut rows = Vec::new();
    for layout in k_quants() {
        for (tokens, hidden) in [(1, 256), (33, 512), (5, 768)] {
            rows.extend([
                embed_rows((layout, None), tokens, hidden, 31, 31, 0),
                embed_rows((layout, None), tokens, hidden, 130, 130, 7),
            ]);
        }
    }
    for layout in others() {
        for (tokens, hidden) in [(1, 4), (3, 36), (33, 64), (5, 132), (70, 588)] {
            rows.extend([
                embed_rows((layout, None), tokens, hidden, 31, 31, 0),
                embed_rows((layout, None), tokens, hidden, 130, 130, 7),
            ]);
        }
    }
    rows.push(embed_rows((Layout::Q4_0, None), FOLDED / 32 + 1, 128, 130, 130, 7));
    rows.push(embed_rows((Layout::Q4_0, Some(39.19)), 33, 64, 130, 130, 7));
    rows.push(embed_rows((Layout::F16, Some(0.5)), 5, 36, 130, 64, 7));
    rows.push(embed_rows((Layout::Q4_0, None), 33, 36, 131_072, 131_072, 7));
    for layout in Layout::ALL {
        rows.extend([256, 768].map(|hidden| {
            embed_rows((layout, None), 5, hidden, 31, 31, 2).with_lane_layout(LaneLayout::for_lanes(hidden))
        }));
        for (index, (vocabulary, part)) in [(5, 4), (129, 64), (130, 12), (588, 256)].into_iter().enumerate() {
            rows.push(embed_rows((layout, None), 33, inputs(layout, 36, 256), vocabulary, part, index % 2 * 7));
        }
    }
    rows
}
