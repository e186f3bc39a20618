//! Products of a few rows of inputs: weights are read once, in order, and inputs stay in the nearest cache.

use super::formats::{BLOCK, Format, GROUP, Matrix};
use crate::isa::Isa;
use crate::memory::Fault;
use crate::work::Work;

/// Rows of inputs that share unpacked weights.
const TOGETHER: usize = 2;

/// Inputs as products read them, in memory of the thread: rows of whole blocks, and the sum of each block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Inputs {
    /// `// [rows, blocks * 32]`
    rows: *const f32,
    /// `// [rows, blocks]`
    sums: *const f32,
    /// `// [rows]`
    roots: *const f32,
    blocks: usize,
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
    /// Copies `m` rows of `k` inputs, times the norm's weight.
    ///
    /// # Safety
    /// The instruction set is there. The scratch of `work` is not used while the inputs are.
    #[inline(always)]
    pub(crate) unsafe fn of<I: Isa>(
        x: &[f32],
        (m, k): (usize, usize),
        norm: Option<Norm<'_>>,
        work: &mut Work<'_>,
    ) -> Result<Self, Fault> {
        let blocks = k.div_ceil(BLOCK);
        let width = blocks * BLOCK;
        let len = (width + blocks + 1).checked_mul(m).ok_or(Fault::OutOfBounds)?;
        let (rows, rest) = work.scratch(len).split_at_mut(m * width); // [m, blocks * 32]
        let (sums, roots) = rest.split_at_mut(m * blocks); // [m, blocks], [m]
        for (row, root) in roots.iter_mut().enumerate() {
            let (x, to) = (&x[row * k..][..k], &mut rows[row * width..][..width]);
            to[k..].fill(0.0);
            *root = 1.0;
            match norm {
                None => to[..k].copy_from_slice(x),
                Some(Norm { weight, eps }) => {
                    // SAFETY: As of this function.
                    *root = 1.0 / libm::sqrtf(unsafe { super::rms_norm::squares::<I>(x) } / k as f32 + eps);
                    to.iter_mut().zip(x.iter().zip(weight)).for_each(|(to, (x, weight))| *to = x * weight);
                }
            }
            for (block, sum) in sums[row * blocks..][..blocks].iter_mut().enumerate() {
                *sum = to[block * BLOCK..][..BLOCK].iter().sum();
            }
        }
        Ok(Self { rows: rows.as_ptr(), sums: sums.as_ptr(), roots: roots.as_ptr(), blocks, count: m })
    }

    /// The reciprocal of the root mean square of a row; 1 without a norm.
    #[inline(always)]
    pub(crate) unsafe fn root(&self, row: usize) -> f32 {
        // SAFETY: The row is one of those that `of` wrote, and the scratch is not used for something else.
        unsafe { *self.roots.add(row) }
    }
}

/// Products of a group of four rows of weights with the rows of inputs from `row` on: as many as [`TOGETHER`], or the last one.
/// `done` receives each row's number and its four results.
///
/// # Safety
/// The group is within the matrix, and the instruction set is there.
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
        while row < inputs.count {
            products::<I, L, 1>(matrix, group, inputs, row, &mut results[row..]);
            row += 1;
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
    let Inputs { rows, sums, blocks, .. } = *inputs;
    // SAFETY: Rows of inputs and blocks are those that `Inputs::of` wrote, and the caller vouches for the group.
    unsafe {
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
