//! Many rows times a weight matrix, with inputs in integers of one digit or of three: weights of as many rows of the matrix as a vector has lanes are brought side by side,
//! four inputs to a lane, and stay in the first cache for all rows of inputs.

use super::formats::Format;
use super::inputs::first_of;
use super::matrix::{BLOCK, GROUP, Matrix};
use super::outputs::Outputs;
use super::rounded::{self, Digits, EXACT, dots, has_dots, zero};
use super::scales::Scales;
use crate::isa::{Isa, OfFormat};
use crate::memory::Fault;
use crate::work::Work;

/// Most rows of inputs of an item: their integers stay in the second cache.
const MAX_ROWS: usize = 128;
/// Blocks of a panel.
const BLOCKS: usize = 16;
/// Vectors of a panel's block: eight of weights, then scales and what is added, and both of the upper half.
const VECTORS: usize = 12;
/// Numbers of a block of inputs besides its digits: its scale and the float that is its sum, then integers with which sums of products begin, of the
/// whole block, or of the lower and of the upper half. With minima for both halves the sums of these as floats: products begin with zero then.
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
    /// `// [count, blocks, digits, 32]`
    digits: *mut i8,
    /// `// [count, blocks, 4]`
    infos: *mut f32,
    /// `// [BLOCKS, VECTORS, LANES]`
    panel: *mut f32,
    /// `// [count, LANES]`
    sums: *mut f32,
    blocks: usize,
    count: usize,
    /// Both halves of blocks have their own sums.
    is_halved: bool,
    has_minima: bool,
    /// Digits of each input.
    has_digits: usize,
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
    (Shape { m, n, k }, digits): (Shape, usize),
    outputs: &Outputs<'_>,
    work: &mut Work<'_>,
) -> Result<(), Fault> {
    let blocks = matrix.blocks;
    let most = m.div_ceil(m.div_ceil(MAX_ROWS).max(1));
    let (parts, columns) = (m.div_ceil(most.max(1)), n.div_ceil(I::LANES));
    let sizes =
        [most * blocks * digits * BLOCK / 4, most * blocks * INFOS, BLOCKS * VECTORS * I::LANES, most * I::LANES];
    let mut held = usize::MAX;
    while let Some(item) = work.next(columns * parts) {
        let (part, column) = (item / columns, item % columns * I::LANES);
        let first = part * most;
        let scratch = work.scratch(sizes.iter().sum());
        let (of_digits, rest) = scratch.split_at_mut(sizes[0]);
        let (infos, rest) = rest.split_at_mut(sizes[1]);
        let (panel, sums) = rest.split_at_mut(sizes[2]);
        let count = most.min(m - first);
        let rows = Rows {
            digits: of_digits.as_mut_ptr().cast(),
            infos: infos.as_mut_ptr(),
            panel: panel.as_mut_ptr(),
            sums: sums.as_mut_ptr(),
            blocks,
            count,
            is_halved: format.is_halved,
            has_minima: format.has_minima,
            has_digits: digits,
        };
        sums.fill(0.0);
        // SAFETY: As of this function; each item is given to one thread.
        unsafe {
            if held != part {
                held = part;
                let x = &x[first * k..][..count * k];
                if digits == 1 {
                    round::<I, 1>(x, k, format.zero, &rows);
                } else {
                    round::<I, EXACT>(x, k, format.zero, &rows);
                }
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

/// Rounds rows of `k` inputs for quants from which `zero` is taken off.
#[inline(always)]
unsafe fn round<I: Isa, const D: usize>(x: &[f32], k: usize, zero: u8, rows: &Rows) {
    for (row, x) in x.chunks_exact(k.max(1)).enumerate() {
        for (block, x) in x.chunks(BLOCK).enumerate() {
            let mut whole = [0.0; BLOCK];
            whole[..x.len()].copy_from_slice(x);
            let at = row * rows.blocks + block;
            // SAFETY: The caller has the instructions, and there is room for all blocks of all rows.
            unsafe {
                let Digits { digits, scale } = rounded::block::<I, D>(&whole);
                rows.digits.add(at * D * BLOCK).cast::<[[i8; BLOCK]; D]>().write(digits);
                let mut sums = [0_i32; 2];
                for digits in &digits {
                    for (sum, half) in sums.iter_mut().zip(digits.as_chunks::<16>().0) {
                        *sum = 256 * *sum + half.iter().map(|&digit| i32::from(digit)).sum::<i32>();
                    }
                }
                let [low, high] = sums.map(|sum| sum.wrapping_mul(-i32::from(zero)));
                let [first, second] = if rows.is_halved { [low, high] } else { [low.wrapping_add(high), 0] };
                let sum = scale * (sums[0] + sums[1]) as f32;
                let mut infos =
                    [scale, sum, f32::from_bits(first.cast_unsigned()), f32::from_bits(second.cast_unsigned())];
                if rows.is_halved && rows.has_minima {
                    [infos[2], infos[3]] = sums.map(|sum| scale * sum as f32);
                }
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
    let is_exact = const { I::EXACT_MANY && has_exact(L::BITS) };
    if !has_dots::<I>(L::BITS) && !is_exact {
        return;
    }
    for start in (0..matrix.blocks).step_by(BLOCKS) {
        let count = BLOCKS.min(matrix.blocks - start);
        // SAFETY: As of this function.
        unsafe {
            pack::<I, L>(matrix, first, start..start + count, rows.panel);
            if has_dots::<I>(L::BITS) && rows.has_digits == 1 {
                tiles::<I, L, 1>(rows, start, count);
            } else if is_exact {
                tiles::<I, L, EXACT>(rows, start, count);
            }
        }
    }
}

/// Products with weights of so many bits are exact with three digits: those of a block fit 32 bits.
pub(super) const fn has_exact(bits: u32) -> bool {
    bits == 4
}

/// Adds the products of all rows of inputs with a panel to the sums.
#[inline(always)]
unsafe fn tiles<I: Isa, L: Format, const D: usize>(rows: &Rows, start: usize, count: usize) {
    let mut row = 0;
    // SAFETY: As of `columns`; rows are below their count.
    unsafe {
        while I::HAS_MANY_REGISTERS && row + MANY <= rows.count {
            tile::<I, L, MANY, D>(rows, row, start, count);
            row += MANY;
        }
        while row + FEW <= rows.count {
            tile::<I, L, FEW, D>(rows, row, start, count);
            row += FEW;
        }
        while row < rows.count {
            tile::<I, L, 1, D>(rows, row, start, count);
            row += 1;
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
                    let store = |vector: usize, of_rows: [f32; GROUP]| {
                        to.add((8 + vector) * I::LANES + four).cast::<[f32; GROUP]>().write(of_rows);
                    };
                    let [Scales { mut least, scale }, upper] =
                        L::halves::<I>(matrix, (first + four).min(last) / GROUP, block);
                    store(0, scale);
                    if L::HAS_MINIMA {
                        least
                            .iter_mut()
                            .zip(scale)
                            .for_each(|(least, scale)| *least += f32::from(zero::<I, L>()) * scale);
                        store(1, least);
                    }
                    if L::IS_HALVED {
                        store(2, upper.scale);
                        store(3, upper.least);
                    }
                }
            }
        }
    }
}

/// Adds the products of `R` rows of inputs with a panel. A sum does not depend on the other rows.
#[inline(always)]
unsafe fn tile<I: Isa, L: Format, const R: usize, const D: usize>(rows: &Rows, row: usize, start: usize, count: usize) {
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
            let at = |r: usize| (row + r) * rows.blocks + start + block;
            let info = |r: usize, which: usize| rows.infos.add(at(r) * INFOS + which);
            if L::IS_HALVED {
                let [a, b, c, d, e, f, g, h] = weights;
                let first = products::<I, L, 4, R, D>(rows, [a, b, c, d], at(0), 0, 2);
                let second = products::<I, L, 4, R, D>(rows, [e, f, g, h], at(0), 4, 3);
                let upper = I::load(panel.add(10 * I::LANES));
                for r in 0..R {
                    let both = I::fma(first[r], scale, I::mul(second[r], upper));
                    sums[r] = I::fma(both, I::splat(*info(r, 0)), sums[r]);
                    if L::HAS_MINIMA {
                        let upper_least = I::load(panel.add(11 * I::LANES));
                        let added = I::fma(least, I::splat(*info(r, 2)), sums[r]);
                        sums[r] = I::fma(upper_least, I::splat(*info(r, 3)), added);
                    }
                }
                continue;
            }
            let products = products::<I, L, 8, R, D>(rows, weights, at(0), 0, 2);
            for r in 0..R {
                sums[r] = I::fma(I::mul(products[r], scale), I::splat(*info(r, 0)), sums[r]);
                if L::HAS_MINIMA {
                    sums[r] = I::fma(least, I::splat(*info(r, 1)), sums[r]);
                }
            }
        }
        for r in 0..R {
            I::store(rows.sums.add((row + r) * I::LANES), sums[r]);
        }
    }
}

/// Sums of the products of `R` rows of inputs with `N` vectors of weights, of fours of inputs from `four` on. `first` is the index of a block of the
/// first row, `info` that of the integers with which sums begin.
#[inline(always)]
unsafe fn products<I: Isa, L: Format, const N: usize, const R: usize, const D: usize>(
    rows: &Rows,
    weights: [I::B; N],
    first: usize,
    four: usize,
    info: usize,
) -> [I::F; R] {
    // SAFETY: As of `columns`.
    unsafe {
        // Addresses alone: a closure with vectors is not always inlined.
        let input = |r: usize, digit: usize, j: usize| {
            rows.digits.add(((first + r * rows.blocks) * D + digit) * BLOCK + 4 * (four + j)).cast()
        };
        let none = [0; 4];
        let has_start = !(L::IS_HALVED && L::HAS_MINIMA);
        let start = |r: usize| {
            if has_start { rows.infos.add((first + r * rows.blocks) * INFOS + info).cast() } else { none.as_ptr() }
        };
        let mut sums = [I::splat_bytes(none.as_ptr()); R];
        for r in 0..R {
            sums[r] = if D == 1 { I::splat_bytes(start(r)) } else { sums[r] };
        }
        for digit in 0..D {
            for r in 0..R {
                sums[r] = if digit > 0 { I::times_256(sums[r]) } else { sums[r] };
            }
            if I::HAS_MANY_REGISTERS {
                // Sums of all rows grow in turns: each waits for its last product.
                for j in 0..N {
                    for r in 0..R {
                        sums[r] = dots::<I, L, 1>(sums[r], [weights[j]], [I::splat_bytes(input(r, digit, j))]);
                    }
                }
            } else {
                for r in 0..R {
                    let mut inputs = weights;
                    for j in 0..N {
                        inputs[j] = I::splat_bytes(input(r, digit, j));
                    }
                    sums[r] = dots::<I, L, N>(sums[r], weights, inputs);
                }
            }
        }
        let mut floats = [I::splat(0.0); R];
        for r in 0..R {
            floats[r] = I::to_floats(if D == 1 { sums[r] } else { I::plus(sums[r], I::splat_bytes(start(r))) });
        }
        floats
    }
}
