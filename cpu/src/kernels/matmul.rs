//! Many rows times a weight matrix. Weights are unpacked to floats, a few rows of the matrix at a time, and multiplied with tiles of inputs in
//! registers, along the inputs.

use bytemuck::{Pod, Zeroable};

use super::formats::Format;
use super::matmul_integers::{self, Shape};
use super::matrix::{BLOCK, GROUP, Matrix};
use super::outputs::Outputs;
use super::rounded::{EXACT, has_dots};
use crate::isa::Isa;
use crate::job::Launch;
use crate::memory::Fault;
use crate::op::Op;
use crate::work::Work;

/// Most rows of inputs of an item: their part of a chunk stays in the second cache.
const MAX_ROWS: usize = 96;
/// Blocks that are unpacked at a time: four rows of them stay in the first cache.
pub(crate) const CHUNK: usize = 32;
/// Groups of four rows of weights that share inputs in registers, if there are many.
const TOGETHER: usize = 2;
/// Numbers of an unpacked group.
const PANEL: usize = GROUP * CHUNK * BLOCK;
/// Sums of a row of inputs.
pub(crate) type Sums = [[f32; GROUP]; TOGETHER];

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Params {
    m: u32,
    n: u32,
    k4: u32,
    blocks: u32,
    y_stride: u32,
    y_offset: u32,
    flags: u32,
    first_row: u32,
}

/// Writes `y = x * w^T (+ bias) (+ y)`. Bindings: `x`: `// [m, k]`, `y`, the bias, the planes of `w`: `// [n, k]`.
///
/// # Safety
/// The conditions of [`crate::isa::Kernel`] hold.
#[inline(always)]
pub(crate) unsafe fn run<I: Isa>(launch: &Launch<'_>, work: &mut Work<'_>) -> Result<(), Fault> {
    let Op::Matmul { layout, rounds } = launch.op else { return Err(Fault::Malformed) };
    let format = &I::FORMATS[layout as usize];
    let Params { m, n, k4, blocks, y_stride, y_offset, flags, first_row } = launch.params()?;
    let [m, n, k] = [m as usize, n as usize, k4 as usize * 4];
    if blocks as usize != k.div_ceil(BLOCK) {
        return Err(Fault::OutOfBounds);
    }
    let x: &[f32] = launch.input(0, [m, k])?; // [m, k]
    let matrix = Matrix::of(launch, 3, layout, n, blocks as usize)?;
    let outputs = Outputs::of(launch, (m, n), (y_stride, y_offset), flags, first_row, 0)?;
    let rounds = rounds && format.bits > 0;
    let digits = match rounds {
        true if has_dots::<I>(format.bits) => 1,
        false if I::EXACT_MANY && matmul_integers::has_exact(format.bits) => EXACT,
        _ => 0,
    };
    if digits > 0 && matrix.blocks >= I::FOURS {
        let sizes = (Shape { m, n, k }, digits);
        // SAFETY: As of this function.
        return unsafe { matmul_integers::run::<I>(format, &matrix, x, sizes, &outputs, work) };
    }
    let parts = m.div_ceil(MAX_ROWS);
    let rows = m.div_ceil(parts.max(1)).next_multiple_of(I::TILE);
    let (groups, parts) = (n.div_ceil(GROUP), m.div_ceil(rows.max(1)));
    let together = if I::HAS_MANY_REGISTERS { TOGETHER } else { 1 };
    let items = groups.div_ceil(together);
    // The part whose rounded inputs are in the scratch.
    let mut held = usize::MAX;
    while let Some(item) = work.next(items * parts) {
        let (part, group) = (item / items, item % items * together);
        let first = part * rows;
        let x = &x[first * k..m.min(first + rows) * k];
        let rounded = if rounds { x.len() } else { 0 };
        let (panel, copy) = work.scratch(TOGETHER * PANEL + rounded).split_at_mut(TOGETHER * PANEL);
        let panel = panel.as_mut_ptr(); // [TOGETHER, GROUP, CHUNK * BLOCK]
        if rounds && held != part {
            held = part;
            // SAFETY: Called within an entry of the set.
            unsafe { super::rounded::rows::<I>(x, k, copy) }
        }
        let x = if rounds { &*copy } else { x };
        let mut sums = [[[0.0; GROUP]; TOGETHER]; MAX_ROWS + 8];
        for start in (0..matrix.blocks).step_by(CHUNK) {
            let count = CHUNK.min(matrix.blocks - start);
            // SAFETY: The group and blocks are within the matrix, and the panel has room for them.
            unsafe {
                for index in 0..together {
                    let group = (group + index).min(groups - 1);
                    (format.unpack)(&matrix, group, start..start + count, panel.add(index * PANEL));
                }
                multiply::<I>(x, (k, start * BLOCK), panel, (count * BLOCK).min(k - start * BLOCK), &mut sums);
            }
        }
        for (row, fours) in sums[..x.len() / k.max(1)].iter().enumerate() {
            for (index, four) in fours[..together.min(groups - group)].iter().enumerate() {
                // SAFETY: Each item is given to one thread.
                unsafe { outputs.store(first + row, group + index, *four) }
            }
        }
    }
    Ok(())
}

/// Unpacks blocks of the four rows of a group, at most [`CHUNK`]. `panel`: `// [GROUP, CHUNK * BLOCK]`
///
/// # Safety
/// The blocks are within the matrix, the panel has room for them, and the instruction set is there.
#[inline(always)]
pub(crate) unsafe fn unpack<I: Isa, L: Format>(
    matrix: &Matrix<'_>,
    group: usize,
    blocks: core::ops::Range<usize>,
    panel: *mut f32,
) {
    // SAFETY: The caller vouches for blocks and panel.
    unsafe {
        for (index, block) in blocks.enumerate() {
            let scales = L::scales::<I>(matrix, group, block);
            for row in 0..GROUP {
                let quants = L::quants::<I>(matrix, group * GROUP + row, block);
                let to = panel.add((row * CHUNK + index) * BLOCK);
                let (scale, least) = (I::splat(scales.scale[row]), I::splat(scales.least[row]));
                for (index, &quant) in quants.as_ref().iter().enumerate() {
                    let weight = match (L::HAS_SCALES, L::HAS_LEAST) {
                        (false, _) => quant,
                        (true, false) => I::mul(quant, scale),
                        (true, true) => I::fma(quant, scale, least),
                    };
                    I::store(to.add(index * I::LANES), weight);
                }
            }
        }
    }
}

/// Adds the products of all rows of `x` with panels of `len` inputs to `sums`. `x`: `// [rows, k]`, of which inputs from `at` on.
#[inline(always)]
unsafe fn multiply<I: Isa>(x: &[f32], (k, at): (usize, usize), panel: *const f32, len: usize, sums: &mut [Sums]) {
    let rows = x.len() / k.max(1);
    let mut row = 0;
    // SAFETY: Rows are within `x`, and inputs below `k`.
    unsafe {
        while row + I::TILE <= rows {
            I::tile(x.as_ptr().add(row * k + at), k, panel, len, &mut sums[row..]);
            row += I::TILE;
        }
        while row < rows {
            let x = x.as_ptr().add(row * k + at);
            if I::HAS_MANY_REGISTERS {
                tile::<I, 1, TOGETHER>(x, k, panel, len, &mut sums[row..]);
            } else {
                tile::<I, 1, 1>(x, k, panel, len, &mut sums[row..]);
            }
            row += 1;
        }
    }
}

/// Adds the products of `R` rows of inputs, `k` numbers apart, with the four rows of each of `G` panels. A sum does not depend on the other rows.
///
/// # Safety
/// There are `len` inputs in each row and in the panels, and the instruction set is there.
#[inline(always)]
pub(crate) unsafe fn tile<I: Isa, const R: usize, const G: usize>(
    x: *const f32,
    k: usize,
    panel: *const f32,
    len: usize,
    sums: &mut [Sums],
) {
    // SAFETY: As of this function.
    unsafe {
        let mut sum = [[[I::splat(0.0); GROUP]; G]; R];
        let whole = len / I::LANES * I::LANES;
        let mut at = 0;
        while at < whole {
            let mut inputs = [I::splat(0.0); R];
            for row in 0..R {
                inputs[row] = I::load(x.add(row * k + at));
            }
            for group in 0..G {
                for column in 0..GROUP {
                    let weights = I::load(panel.add(group * PANEL + column * CHUNK * BLOCK + at));
                    for row in 0..R {
                        sum[row][group][column] = I::fma(inputs[row], weights, sum[row][group][column]);
                    }
                }
            }
            at += I::LANES;
        }
        for row in 0..R {
            for group in 0..G {
                for column in 0..GROUP {
                    let mut total = I::sum(sum[row][group][column]);
                    for at in whole..len {
                        total += *x.add(row * k + at) * *panel.add(group * PANEL + column * CHUNK * BLOCK + at);
                    }
                    sums[row][group][column] += total;
                }
            }
        }
    }
}
