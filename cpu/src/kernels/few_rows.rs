//! Products of a few rows of inputs: weights are read once, in order, and inputs stay in the nearest cache.

use super::formats::Format;
use super::matrix::{BLOCK, GROUP, Matrix};
use crate::isa::Isa;
use crate::memory::Fault;
use crate::op::Layout;
use crate::work::Work;

/// Rows of inputs that share unpacked weights.
const TOGETHER: usize = 2;
/// Nibbles of a word.
const NIBBLES: usize = 8;

/// Inputs as products read them, in memory of the thread.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Inputs {
    /// Rows of whole blocks, `// [rows, blocks * 32]`; if arranged, in the order of [`Isa::nibbles_of_words`] and divided by what its nibbles are
    /// worth too much: `// [rows, blocks / (LANES / 4), 8, LANES]`.
    rows: *const f32,
    /// The sum of each block, `// [rows, blocks]`; if arranged, of each lane: `// [rows, blocks / (LANES / 4), LANES]`.
    sums: *const f32,
    /// `// [rows]`
    roots: *const f32,
    blocks: usize,
    is_arranged: bool,
    /// Number of rows.
    pub(crate) count: usize,
}

/// A norm of the inputs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Norm<'a> {
    /// `// [k]`
    pub(crate) weight: &'a [f32],
    pub(crate) eps: f32,
}

impl Inputs {
    /// Copies `m` rows of `k` inputs, times the norm's weight, for products with a layout.
    ///
    /// # Safety
    /// The instruction set is there. The scratch of `work` is not used while the inputs are.
    #[inline(always)]
    pub(crate) unsafe fn of<I: Isa>(
        layout: Layout,
        x: &[f32],
        (m, k): (usize, usize),
        norm: Option<Norm<'_>>,
        work: &mut Work<'_>,
    ) -> Result<Self, Fault> {
        let blocks = k.div_ceil(BLOCK);
        let (width, fours) = (blocks * BLOCK, I::LANES / 4);
        let is_arranged = I::FORMATS[layout as usize].has_nibbles && blocks.is_multiple_of(fours);
        let sums_of_row = if is_arranged { 4 * blocks } else { blocks };
        let len = (width + sums_of_row + 1).checked_mul(m).and_then(|len| len.checked_add(width));
        let scratch = work.scratch(len.ok_or(Fault::OutOfBounds)?);
        let (rows, rest) = scratch.split_at_mut(m * width); // [m, blocks * 32]
        let (sums, rest) = rest.split_at_mut(m * sums_of_row); // [m, blocks] or [m, blocks * 4]
        let (roots, natural) = rest.split_at_mut(m); // [m], [blocks * 32]
        for (row, root) in roots.iter_mut().enumerate() {
            let (x, rows) = (&x[row * k..][..k], &mut rows[row * width..][..width]);
            let to: &mut [f32] = if is_arranged { &mut *natural } else { &mut *rows };
            to[k..width].fill(0.0);
            *root = 1.0;
            match norm {
                None => to[..k].copy_from_slice(x),
                Some(Norm { weight, eps }) => {
                    // SAFETY: As of this function.
                    *root = 1.0 / libm::sqrtf(unsafe { super::rms_norm::squares::<I>(x) } / k as f32 + eps);
                    to.iter_mut().zip(x.iter().zip(weight)).for_each(|(to, (x, weight))| *to = x * weight);
                }
            }
            let sums = &mut sums[row * sums_of_row..][..sums_of_row];
            if is_arranged {
                arrange(natural, I::LANES, rows, sums);
            } else {
                for (sum, block) in sums.iter_mut().zip(rows.as_chunks::<BLOCK>().0) {
                    *sum = block.iter().sum();
                }
            }
        }
        let [rows, sums, roots] = [rows.as_ptr(), sums.as_ptr(), roots.as_ptr()];
        Ok(Self { rows, sums, roots, blocks, is_arranged, count: m })
    }

    /// The reciprocal of the root mean square of a row; 1 without a norm.
    #[inline(always)]
    unsafe fn root(&self, row: usize) -> f32 {
        // SAFETY: The row is one of those that `of` wrote, and the scratch is not used for something else.
        unsafe { *self.roots.add(row) }
    }
}

/// Brings a row into the order of [`Isa::nibbles_of_words`]. Word `i` of a block has elements `4i..4i + 4` in the lower nibbles of its bytes, and those
/// 16 further in the upper ones.
fn arrange(natural: &[f32], lanes: usize, to: &mut [f32], sums: &mut [f32]) {
    const WORTH: [f32; 4] = [1.0, 1.0 / 16.0, 1.0 / 256.0, 1.0 / 4096.0];
    let wide = lanes / 4 * BLOCK;
    let parts = natural.chunks_exact(wide).zip(to.chunks_exact_mut(wide)).zip(sums.chunks_exact_mut(lanes));
    for ((natural, to), sums) in parts {
        sums.fill(0.0);
        for (nibble, to) in to.chunks_exact_mut(lanes).enumerate() {
            for (lane, (to, sum)) in to.iter_mut().zip(sums.iter_mut()).enumerate() {
                let x = natural[lane / 4 * BLOCK + lane % 4 * 4 + nibble / 2 + 16 * (nibble % 2)];
                *to = x * WORTH[nibble % 4];
                *sum += x;
            }
        }
    }
}

/// Products of a group of four rows of weights with all rows of inputs.
///
/// # Safety
/// The group is within the matrix, the inputs are of the same format, and the instruction set is there.
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
        while row + TOGETHER <= inputs.count {
            products::<I, L, TOGETHER>(matrix, group, inputs, row, &mut results[row..]);
            row += TOGETHER;
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
        if L::HAS_NIBBLES && inputs.is_arranged {
            return of_nibbles::<I, L, M>(matrix, group, inputs, row, results);
        }
        let Inputs { rows, sums, blocks, .. } = *inputs;
        let mut sum = [[I::splat(0.0); GROUP]; M];
        let mut least = [[0.0_f32; GROUP]; M];
        for block in 0..blocks {
            let scales = L::scales::<I>(matrix, group, block);
            for column in 0..GROUP {
                let quants = L::quants::<I>(matrix, group * GROUP + column, block);
                for m in 0..M {
                    let x = rows.add(((row + m) * blocks + block) * BLOCK);
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
                    let of_block = *sums.add((row + m) * blocks + block);
                    for column in 0..GROUP {
                        least[m][column] += scales.least[column] * of_block;
                    }
                }
            }
        }
        for m in 0..M {
            let root = inputs.root(row + m);
            for column in 0..GROUP {
                results[m][column] = (I::sum(sum[m][column]) + least[m][column]) * root;
            }
        }
    }
}

/// The same for nibbles, which are masked where they are.
#[inline(always)]
unsafe fn of_nibbles<I: Isa, L: Format, const M: usize>(
    matrix: &Matrix<'_>,
    group: usize,
    inputs: &Inputs,
    row: usize,
    results: &mut [[f32; GROUP]],
) {
    let Inputs { rows, sums, blocks, .. } = *inputs;
    let fours = I::LANES / 4;
    // SAFETY: As of `group`; inputs are arranged for the lanes of the set.
    unsafe {
        let mut sum = [[I::splat(0.0); GROUP]; M];
        let mut block = 0;
        while block < blocks {
            let [scale, least] = L::wide_scales::<I>(matrix, group, block);
            for column in 0..GROUP {
                let quants = I::nibbles_of_words(matrix.nibbles(group * GROUP + column, block));
                for m in 0..M {
                    let x = rows.add(((row + m) * blocks + block) * BLOCK);
                    let of_lanes = I::load(sums.add(((row + m) * blocks + block) * 4));
                    // Two sums, which need not wait for one another.
                    let mut products = [I::splat(0.0); 2];
                    for nibble in 0..NIBBLES {
                        let x = I::load(x.add(nibble * I::LANES));
                        products[nibble % 2] = I::fma(quants[nibble], x, products[nibble % 2]);
                    }
                    let added = I::fma(least[column], of_lanes, sum[m][column]);
                    sum[m][column] = I::fma(scale[column], I::add(products[0], products[1]), added);
                }
            }
            block += fours;
        }
        for m in 0..M {
            let root = inputs.root(row + m);
            for column in 0..GROUP {
                results[m][column] = I::sum(sum[m][column]) * root;
            }
        }
    }
}
