//! Many rows times a weight matrix, with inputs in 8-bit integers: weights of as many rows of the matrix as a vector has lanes are brought side by side,
//! four inputs to a lane, and stay in the first cache for all rows of inputs.

use super::formats::Format;
use super::inputs::first_of;
use super::matrix::{BLOCK, GROUP, Matrix};
use super::outputs::Outputs;
use super::rounded::{self, dots};
use crate::isa::{Isa, OfFormat};
use crate::memory::Fault;
use crate::work::Work;

/// Most rows of inputs of an item: their integers stay in the second cache.
const MAX_ROWS: usize = 128;
/// Blocks of a panel.
const BLOCKS: usize = 16;
/// Vectors of a panel's block: eight of weights, then scales and what is added of the lower and of the upper half.
const VECTORS: usize = 12;
/// Floats of a block of inputs besides its integers: scale, its sum, the sums of its lower and of its upper half.
const INFOS: usize = 4;
/// Rows of inputs that share weights in registers, with few and with many registers.
const FEW: usize = 4;
const MANY: usize = 8;

/// Sizes of a product: rows of inputs, rows of the matrix, inputs of a row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) m: usize,
    pub(super) n: usize,
    pub(super) k: usize,
}

/// Rows of inputs in integers, and the memory for a product, of the thread.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows {
    /// `// [count, blocks, 32]`
    integers: *mut i8,
    /// `// [count, blocks, 4]`
    infos: *mut f32,
    /// `// [BLOCKS, VECTORS, LANES]`
    panel: *mut f32,
    /// `// [count, LANES]`
    sums: *mut f32,
    blocks: usize,
    count: usize,
}

/// Writes the product of all rows. `x`: `// [m, k]`
///
/// # Safety
/// The matrix is one of the format with at least as many blocks as a window has. The conditions of [`crate::isa::Kernel`] hold.
#[inline(always)]
pub(super) unsafe fn run<I: Isa>(
    format: &OfFormat,
    matrix: &Matrix<'_>,
    x: &[f32],
    Shape { m, n, k }: Shape,
    outputs: &Outputs<'_>,
    work: &mut Work<'_>,
) -> Result<(), Fault> {
    let blocks = matrix.blocks;
    let most = m.div_ceil(m.div_ceil(MAX_ROWS).max(1));
    let (parts, columns) = (m.div_ceil(most.max(1)), n.div_ceil(I::LANES));
    let sizes = [most * blocks * BLOCK / 4, most * blocks * INFOS, BLOCKS * VECTORS * I::LANES, most * I::LANES];
    let mut held = usize::MAX;
    while let Some(item) = work.next(columns * parts) {
        let (part, column) = (item / columns, item % columns * I::LANES);
        let first = part * most;
        let scratch = work.scratch(sizes.iter().sum());
        let (integers, rest) = scratch.split_at_mut(sizes[0]);
        let (infos, rest) = rest.split_at_mut(sizes[1]);
        let (panel, sums) = rest.split_at_mut(sizes[2]);
        let count = most.min(m - first);
        let rows = Rows {
            integers: integers.as_mut_ptr().cast(),
            infos: infos.as_mut_ptr(),
            panel: panel.as_mut_ptr(),
            sums: sums.as_mut_ptr(),
            blocks,
            count,
        };
        sums.fill(0.0);
        // SAFETY: As of this function; each item is given to one thread.
        unsafe {
            if held != part {
                held = part;
                round::<I>(&x[first * k..][..count * k], k, &rows);
            }
            (format.columns)(matrix, column, &rows);
            for row in 0..count {
                for four in (0..I::LANES.min(n - column)).step_by(GROUP) {
                    let sums = rows.sums.add(row * I::LANES + four).cast::<[f32; GROUP]>().read();
                    outputs.store(first + row, (column + four) / GROUP, sums);
                }
            }
        }
    }
    Ok(())
}

/// Rounds rows of `k` inputs.
#[inline(always)]
unsafe fn round<I: Isa>(x: &[f32], k: usize, rows: &Rows) {
    for (row, x) in x.chunks_exact(k.max(1)).enumerate() {
        for (block, x) in x.chunks(BLOCK).enumerate() {
            let mut whole = [0.0; BLOCK];
            whole[..x.len()].copy_from_slice(x);
            let at = row * rows.blocks + block;
            // SAFETY: The caller has the instructions, and there is room for all blocks of all rows.
            unsafe {
                let rounded::Rounded { integers, scale, sums } = rounded::block::<I>(&whole);
                rows.integers.add(at * BLOCK).cast::<[i8; BLOCK]>().write(integers);
                let infos = [scale, sums[0] + sums[1], sums[0], sums[1]];
                rows.infos.add(at * INFOS).cast::<[f32; INFOS]>().write(infos);
            }
        }
    }
}

/// Adds the products of all rows of inputs with as many rows of the matrix, from `first` on, as there are lanes to the sums.
///
/// # Safety
/// The first row is within the matrix, the inputs are for it, and the instruction set is there.
#[inline(always)]
pub(crate) unsafe fn columns<I: Isa, L: Format>(matrix: &Matrix<'_>, first: usize, rows: &Rows) {
    for start in (0..matrix.blocks).step_by(BLOCKS) {
        let count = BLOCKS.min(matrix.blocks - start);
        let mut row = 0;
        // SAFETY: As of this function; rows are below their count.
        unsafe {
            pack::<I, L>(matrix, first, start..start + count, rows.panel);
            while I::HAS_MANY_REGISTERS && row + MANY <= rows.count {
                tile::<I, L, MANY>(rows, row, start, count);
                row += MANY;
            }
            while row + FEW <= rows.count {
                tile::<I, L, FEW>(rows, row, start, count);
                row += FEW;
            }
            while row < rows.count {
                tile::<I, L, 1>(rows, row, start, count);
                row += 1;
            }
        }
    }
}

/// Brings blocks of rows of the matrix side by side. Rows after the last one are copies of it.
#[inline(always)]
unsafe fn pack<I: Isa, L: Format>(matrix: &Matrix<'_>, first: usize, blocks: core::ops::Range<usize>, panel: *mut f32) {
    let last = matrix.rows - 1;
    // SAFETY: As of `columns`; windows end with the row, and the panel has room for the blocks.
    unsafe {
        for window in (blocks.start..blocks.end).step_by(I::FOURS) {
            let begin = first_of::<I>(window / I::FOURS, matrix.blocks);
            let mut halves = [[I::splat_bytes([0; 4].as_ptr()); 16]; 2];
            for lane in 0..I::LANES {
                let [low, high] = L::integers::<I>(matrix, (first + lane).min(last), begin);
                (halves[0][lane], halves[1][lane]) = (low, high);
            }
            for half in &mut halves {
                I::transpose(&mut half[..I::LANES]);
            }
            for block in window..blocks.end.min(window + I::FOURS) {
                let to = panel.add((block - blocks.start) * VECTORS * I::LANES);
                for j in 0..8 {
                    let bytes = halves[j / 4][4 * (block - begin) + j % 4];
                    I::store_bytes(to.add(j * I::LANES).cast(), bytes);
                }
                for four in (0..I::LANES).step_by(GROUP) {
                    let halves = L::halves::<I>(matrix, (first + four).min(last) / GROUP, block);
                    for (half, scales) in halves.into_iter().enumerate().take(if L::IS_HALVED { 2 } else { 1 }) {
                        let to = to.add((8 + 2 * half) * I::LANES + four);
                        to.cast::<[f32; GROUP]>().write(scales.scale);
                        to.add(I::LANES).cast::<[f32; GROUP]>().write(scales.least);
                    }
                }
            }
        }
    }
}

/// Adds the products of `R` rows of inputs with a panel. A sum does not depend on the other rows.
#[inline(always)]
unsafe fn tile<I: Isa, L: Format, const R: usize>(rows: &Rows, row: usize, start: usize, count: usize) {
    // SAFETY: As of `columns`.
    unsafe {
        let mut sums = [I::splat(0.0); R];
        for r in 0..R {
            sums[r] = I::load(rows.sums.add((row + r) * I::LANES));
        }
        for block in 0..count {
            let panel = rows.panel.add(block * VECTORS * I::LANES);
            let mut weights = [I::load_bytes(panel.cast()); 8];
            for j in 1..8 {
                weights[j] = I::load_bytes(panel.add(j * I::LANES).cast());
            }
            let [scale, least] = [I::load(panel.add(8 * I::LANES)), I::load(panel.add(9 * I::LANES))];
            for r in 0..R {
                let at = (row + r) * rows.blocks + start + block;
                let (x, infos) = (rows.integers.add(at * BLOCK).cast::<u8>(), rows.infos.add(at * INFOS));
                let mut inputs = [I::splat_bytes(x); 8];
                for j in 1..8 {
                    inputs[j] = I::splat_bytes(x.add(4 * j));
                }
                let of_inputs = I::splat(*infos);
                sums[r] = if L::IS_HALVED {
                    let ([a, b, c, d, e, f, g, h], [p, q, s, t, u, v, w, z]) = (weights, inputs);
                    let [upper, upper_least] = [I::load(panel.add(10 * I::LANES)), I::load(panel.add(11 * I::LANES))];
                    let high = I::mul(dots::<I, L, 4>([e, f, g, h], [u, v, w, z]), upper);
                    let both = I::fma(dots::<I, L, 4>([a, b, c, d], [p, q, s, t]), scale, high);
                    let added = I::fma(upper_least, I::splat(*infos.add(3)), sums[r]);
                    I::fma(both, of_inputs, I::fma(least, I::splat(*infos.add(2)), added))
                } else {
                    let products = I::mul(dots::<I, L, 8>(weights, inputs), of_inputs);
                    I::fma(products, scale, I::fma(least, I::splat(*infos.add(1)), sums[r]))
                };
            }
        }
        for r in 0..R {
            I::store(rows.sums.add((row + r) * I::LANES), sums[r]);
        }
    }
}
