//! Products of a few rows of inputs: weights are read once, in order, and inputs stay in the nearest caches.

use super::formats::Format;
use super::inputs::{Form, Inputs, NIBBLES, first_of, has_exact, vectors};
use super::matrix::{GROUP, Matrix};
use super::rounded::{EXACT, dots, has_dots, zero};
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
            of_rows::<I, L, MANY>(matrix, group, inputs, row, &mut results[row..]);
            row += MANY;
        }
        while row + FEW <= inputs.count {
            of_rows::<I, L, FEW>(matrix, group, inputs, row, &mut results[row..]);
            row += FEW;
        }
        if row < inputs.count {
            of_rows::<I, L, 1>(matrix, group, inputs, row, &mut results[row..]);
        }
    }
}

/// The same for `M` rows of inputs. The sums of a row do not depend on the other rows.
#[inline(always)]
unsafe fn of_rows<I: Isa, L: Format, const M: usize>(
    matrix: &Matrix<'_>,
    group: usize,
    inputs: &Inputs,
    row: usize,
    results: &mut [[f32; GROUP]],
) {
    // SAFETY: As of `group`.
    unsafe {
        let sums: [[f32; GROUP]; M] = match inputs.form {
            Form::Integers(1) if has_dots::<I>(L::BITS) => of_integers::<I, L, M, 1>(matrix, group, inputs, row),
            Form::Integers(_) if I::EXACT_FEW && has_exact(L::BITS) => {
                of_integers::<I, L, M, EXACT>(matrix, group, inputs, row)
            }
            Form::Arranged if !I::EXACT_FEW && L::HAS_NIBBLES => of_nibbles::<I, L, M>(matrix, group, inputs, row),
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
                I::prefetch(matrix.later(group, block * GROUP + column, L::BYTES));
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
                I::prefetch(matrix.later(group, (window * GROUP + column) * I::FOURS, L::BYTES));
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

/// Sums with inputs in integers of `D` digits.
#[inline(always)]
unsafe fn of_integers<I: Isa, L: Format, const M: usize, const D: usize>(
    matrix: &Matrix<'_>,
    group: usize,
    inputs: &Inputs,
    row: usize,
) -> [[f32; GROUP]; M] {
    // SAFETY: As of `group`; inputs are integers for the lanes of the set.
    unsafe {
        let (mut sum, none) = ([[I::splat(0.0); GROUP]; M], I::splat_bytes([0; 4].as_ptr()));
        for window in 0..inputs.blocks.div_ceil(I::FOURS) {
            let block = first_of::<I>(window, inputs.blocks);
            let [scale, mut least] = L::wide_scales::<I>(matrix, group, block);
            let upper = L::wide_upper_scales::<I>(matrix, group, block);
            let mut quants = [L::integers::<I>(matrix, group * GROUP, block); GROUP];
            for column in 1..GROUP {
                quants[column] = L::integers::<I>(matrix, group * GROUP + column, block);
            }
            for column in 0..GROUP {
                let later = matrix.later(group, (window * GROUP + column) * I::FOURS, L::BYTES);
                I::prefetch(later);
                if L::BYTES == 32 {
                    I::prefetch(later.wrapping_add(4 * I::LANES));
                }
                if L::HAS_MINIMA {
                    least[column] = I::fma(scale[column], I::splat(zero::<I, L>().into()), least[column]);
                }
            }
            for m in 0..M {
                let x = inputs.window::<I>(row + m, window, vectors(D));
                let mut both = [[I::load_bytes(x.cast()); 2]; D];
                let mut halves = [[[both[0][0]]; D]; 2];
                for digit in 0..D {
                    for half in 0..2 {
                        both[digit][half] = I::load_bytes(x.add((2 * digit + half) * I::LANES).cast());
                        halves[half][digit] = [both[digit][half]];
                    }
                }
                let after = x.add(2 * D * I::LANES);
                let of_inputs = I::load(after);
                let (first, second) = (I::load_bytes(after.add(I::LANES).cast()), after.add(2 * I::LANES));
                for column in 0..GROUP {
                    let quants = quants[column];
                    if let Some([upper, upper_least]) = upper {
                        // With minima nothing is taken off: the vectors are the sums of both halves.
                        let starts = if L::HAS_MINIMA { [none; 2] } else { [first, I::load_bytes(second.cast())] };
                        let high = products::<I, L, 1, D>(starts[1], [quants[1]], halves[1]);
                        let low = products::<I, L, 1, D>(starts[0], [quants[0]], halves[0]);
                        let both = I::fma(low, scale[column], I::mul(high, upper[column]));
                        sum[m][column] = I::fma(both, of_inputs, sum[m][column]);
                        if L::HAS_MINIMA {
                            let added = I::fma(least[column], I::load(after.add(I::LANES)), sum[m][column]);
                            sum[m][column] = I::fma(upper_least[column], I::load(second), added);
                        }
                        continue;
                    }
                    let products = products::<I, L, 2, D>(first, quants, both);
                    sum[m][column] = I::fma(products, I::mul(scale[column], of_inputs), sum[m][column]);
                    if L::HAS_MINIMA {
                        sum[m][column] = I::fma(least[column], I::load(second), sum[m][column]);
                    }
                }
            }
        }
        totals::<I, M>(sum)
    }
}

/// Sums of the products of weights with all digits of inputs.
#[inline(always)]
unsafe fn products<I: Isa, L: Format, const N: usize, const D: usize>(
    start: I::B,
    quants: [I::B; N],
    digits: [[I::B; N]; D],
) -> I::F {
    // SAFETY: The caller has the instructions.
    unsafe {
        let mut sums = if D == 1 { start } else { I::splat_bytes([0; 4].as_ptr()) };
        for digit in 0..D {
            sums = if digit > 0 { I::times_256(sums) } else { sums };
            sums = dots::<I, L, N>(sums, quants, digits[digit]);
        }
        I::to_floats(if D == 1 { sums } else { I::plus(sums, start) })
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
