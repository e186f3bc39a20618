//! Products of a few rows of inputs: weights are read once, in order, and inputs stay in the nearest caches.

use super::formats::Format;
use super::inputs::{Form, Inputs, NIBBLES, first_of};
use super::matrix::{GROUP, Matrix};
use super::rounded::dots;
use crate::isa::Isa;

/// Rows of inputs that share unpacked weights, with few and with many registers.
const FEW: usize = 2;
const MANY: usize = 4;

/// Products of a group of four rows of weights with all rows of inputs.
///
/// # Safety
/// The group is within the matrix, the inputs are for its format, and the instruction set is there.
#[inline(always)]
pub(crate) unsafe fn group<I: Isa, L: Format>(
    matrix: &Matrix<'_>,
    group: usize,
    inputs: &Inputs,
    results: &mut [[f32; GROUP]],
) {
    let mut row = 0;
    // SAFETY: As of this function, and rows are below the count.
    unsafe {
        while I::HAS_MANY_REGISTERS && row + MANY <= inputs.count {
            products::<I, L, MANY>(matrix, group, inputs, row, &mut results[row..]);
            row += MANY;
        }
        while row + FEW <= inputs.count {
            products::<I, L, FEW>(matrix, group, inputs, row, &mut results[row..]);
            row += FEW;
        }
        if row < inputs.count {
            products::<I, L, 1>(matrix, group, inputs, row, &mut results[row..]);
        }
    }
}

/// The same for `M` rows of inputs. The sums of a row do not depend on the other rows.
#[inline(always)]
unsafe fn products<I: Isa, L: Format, const M: usize>(
    matrix: &Matrix<'_>,
    group: usize,
    inputs: &Inputs,
    row: usize,
    results: &mut [[f32; GROUP]],
) {
    // SAFETY: As of `group`.
    unsafe {
        let sums: [[f32; GROUP]; M] = match inputs.form {
            Form::Integers if L::BITS > 0 => of_integers::<I, L, M>(matrix, group, inputs, row),
            Form::Arranged if L::HAS_NIBBLES => of_nibbles::<I, L, M>(matrix, group, inputs, row),
            _ => of_blocks::<I, L, M>(matrix, group, inputs, row),
        };
        for m in 0..M {
            let root = inputs.root(row + m);
            results[m] = sums[m].map(|sum| sum * root);
        }
    }
}

/// Sums with natural inputs.
#[inline(always)]
unsafe fn of_blocks<I: Isa, L: Format, const M: usize>(
    matrix: &Matrix<'_>,
    group: usize,
    inputs: &Inputs,
    row: usize,
) -> [[f32; GROUP]; M] {
    // SAFETY: As of `group`.
    unsafe {
        let mut sum = [[I::splat(0.0); GROUP]; M];
        let mut least = [[0.0_f32; GROUP]; M];
        for block in 0..inputs.blocks {
            let scales = L::scales::<I>(matrix, group, block);
            for column in 0..GROUP {
                let quants = L::quants::<I>(matrix, group * GROUP + column, block);
                for m in 0..M {
                    let x = inputs.block(row + m, block);
                    sum[m][column] = if L::HAS_SCALES {
                        let product = I::dot(I::splat(0.0), quants, x);
                        I::fma(I::splat(scales.scale[column]), product, sum[m][column])
                    } else {
                        I::dot(sum[m][column], quants, x)
                    };
                }
            }
            if L::HAS_LEAST {
                for m in 0..M {
                    let of_block = inputs.sum(row + m, block);
                    for column in 0..GROUP {
                        least[m][column] += scales.least[column] * of_block;
                    }
                }
            }
        }
        let mut sums = least;
        for m in 0..M {
            for column in 0..GROUP {
                sums[m][column] += I::sum(sum[m][column]);
            }
        }
        sums
    }
}

/// Sums with inputs that are arranged for nibbles, which are taken out of their words where they are.
#[inline(always)]
unsafe fn of_nibbles<I: Isa, L: Format, const M: usize>(
    matrix: &Matrix<'_>,
    group: usize,
    inputs: &Inputs,
    row: usize,
) -> [[f32; GROUP]; M] {
    // SAFETY: As of `group`; inputs are arranged for the lanes of the set.
    unsafe {
        let mut sum = [[I::splat(0.0); GROUP]; M];
        for window in 0..inputs.blocks.div_ceil(I::FOURS) {
            let block = first_of::<I>(window, inputs.blocks);
            let [scale, least] = L::wide_scales::<I>(matrix, group, block);
            let mut x = [core::ptr::null(); M];
            for m in 0..M {
                x[m] = inputs.window::<I>(row + m, window, NIBBLES + 1);
            }
            let mut words = [I::load_bytes(matrix.nibbles(group * GROUP, block)); GROUP];
            for column in 1..GROUP {
                words[column] = I::load_bytes(matrix.nibbles(group * GROUP + column, block));
            }
            for column in 0..GROUP {
                I::prefetch(matrix.ahead(group * GROUP + column, block, 16));
            }
            let mut products = [[I::splat(0.0); GROUP]; M];
            add_nibbles::<I, M, 0>(&words, &x, &mut products);
            add_nibbles::<I, M, 1>(&words, &x, &mut products);
            add_nibbles::<I, M, 2>(&words, &x, &mut products);
            add_nibbles::<I, M, 3>(&words, &x, &mut products);
            add_nibbles::<I, M, 4>(&words, &x, &mut products);
            add_nibbles::<I, M, 5>(&words, &x, &mut products);
            add_nibbles::<I, M, 6>(&words, &x, &mut products);
            add_nibbles::<I, M, 7>(&words, &x, &mut products);
            for m in 0..M {
                let of_lanes = I::load(x[m].add(NIBBLES * I::LANES));
                for column in 0..GROUP {
                    let added = I::fma(least[column], of_lanes, sum[m][column]);
                    sum[m][column] = I::fma(scale[column], products[m][column], added);
                }
            }
        }
        totals::<I, M>(sum)
    }
}

/// Adds the products of nibble `N` of each word.
#[inline(always)]
unsafe fn add_nibbles<I: Isa, const M: usize, const N: u32>(
    words: &[I::B; GROUP],
    x: &[*const f32; M],
    products: &mut [[I::F; GROUP]; M],
) {
    // SAFETY: As of `group`.
    unsafe {
        let mut inputs = [I::splat(0.0); M];
        for m in 0..M {
            inputs[m] = I::load(x[m].add(N as usize * I::LANES));
        }
        for column in 0..GROUP {
            let quants = I::nibble::<N>(words[column]);
            for m in 0..M {
                products[m][column] = I::fma(quants, inputs[m], products[m][column]);
            }
        }
    }
}

/// Sums with inputs in 8-bit integers.
#[inline(always)]
unsafe fn of_integers<I: Isa, L: Format, const M: usize>(
    matrix: &Matrix<'_>,
    group: usize,
    inputs: &Inputs,
    row: usize,
) -> [[f32; GROUP]; M] {
    // SAFETY: As of `group`; inputs are arranged for the lanes of the set.
    unsafe {
        let mut sum = [[I::splat(0.0); GROUP]; M];
        for window in 0..inputs.blocks.div_ceil(I::FOURS) {
            let block = first_of::<I>(window, inputs.blocks);
            let [scale, least] = L::wide_scales::<I>(matrix, group, block);
            let upper = L::wide_upper_scales::<I>(matrix, group, block);
            let mut quants = [L::integers::<I>(matrix, group * GROUP, block); GROUP];
            for column in 1..GROUP {
                quants[column] = L::integers::<I>(matrix, group * GROUP + column, block);
            }
            for column in 0..GROUP {
                let ahead = matrix.ahead(group * GROUP + column, block, if L::BITS == 8 { 32 } else { 16 });
                I::prefetch(ahead);
                if L::BITS == 8 {
                    I::prefetch(ahead.wrapping_add(4 * I::LANES));
                }
            }
            for m in 0..M {
                let x = inputs.window::<I>(row + m, window, 5);
                let x_low = I::load_bytes(x.cast());
                let x_high = I::load_bytes(x.add(I::LANES).cast());
                let of_inputs = I::load(x.add(2 * I::LANES));
                let [sums_low, sums_high] = [I::load(x.add(3 * I::LANES)), I::load(x.add(4 * I::LANES))];
                let sums = I::add(sums_low, sums_high);
                for column in 0..GROUP {
                    let [low, high] = quants[column];
                    sum[m][column] = if let Some([scale_high, least_high]) = upper {
                        let high = I::mul(dots::<I, L, 1>([high], [x_high]), scale_high[column]);
                        let both = I::fma(dots::<I, L, 1>([low], [x_low]), scale[column], high);
                        let added = I::fma(least_high[column], sums_high, sum[m][column]);
                        I::fma(both, of_inputs, I::fma(least[column], sums_low, added))
                    } else {
                        let products = I::mul(dots::<I, L, 2>([low, high], [x_low, x_high]), of_inputs);
                        I::fma(products, scale[column], I::fma(least[column], sums, sum[m][column]))
                    };
                }
            }
        }
        totals::<I, M>(sum)
    }
}

/// The sums of the lanes.
#[inline(always)]
unsafe fn totals<I: Isa, const M: usize>(sum: [[I::F; GROUP]; M]) -> [[f32; GROUP]; M] {
    let mut totals = [[0.0; GROUP]; M];
    for m in 0..M {
        for column in 0..GROUP {
            // SAFETY: As of `group`.
            totals[m][column] = unsafe { I::sum(sum[m][column]) };
        }
    }
    totals
}
