//! Inputs of products of a few rows, in the order in which the products read them.

use super::matrix::BLOCK;
use super::rounded::{self, Digits, EXACT};
use crate::isa::{Isa, OfFormat};
use crate::memory::Fault;
use crate::op::Layout;
use crate::work::Work;

/// Nibbles of a word.
pub(super) const NIBBLES: usize = 8;

/// Order and numbers of inputs. A *window* has as many blocks as a vector has fours of lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Floats in their order. `// [rows, blocks * 32]`
    Natural,
    /// Floats in the order of [`crate::isa::Bytes::nibble`], divided by what its nibbles are worth too much, then their sum for each lane.
    /// `// [rows, windows, 9, LANES]`
    Arranged,
    /// Integers of so many digits: for each digit the bytes of the lower and of the upper halves of blocks, then scales and two vectors with which
    /// the sums of each lane begin, see [`integers`]. `// [rows, windows, 2 * digits + 3, LANES]`
    Integers(usize),
}

/// Inputs of a few rows, in memory of the thread.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Inputs {
    pub(super) form: Form,
    rows: *const f32,
    /// The sum of each block of natural inputs. `// [rows, blocks]`
    sums: *const f32,
    /// `// [rows]`
    roots: *const f32,
    pub(super) blocks: usize,
    /// Floats of a row.
    stride: usize,
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

/// The first block of a window. The last window begins so that it ends with the row.
#[inline(always)]
pub(super) fn first_of<I: Isa>(window: usize, blocks: usize) -> usize {
    (window * I::FOURS).min(blocks - I::FOURS)
}

impl Inputs {
    /// Copies `m` rows of `k` inputs, times the norm's weight, for products with a layout. They are rounded to 8-bit integers if `rounds`.
    ///
    /// # Safety
    /// The instruction set is there. The scratch of `work` is not used while the inputs are.
    #[inline(always)]
    pub(crate) unsafe fn of<I: Isa>(
        (layout, rounds): (Layout, bool),
        x: &[f32],
        (m, k): (usize, usize),
        norm: Option<Norm<'_>>,
        work: &mut Work<'_>,
    ) -> Result<Self, Fault> {
        let blocks = k.div_ceil(BLOCK);
        let (width, windows) = (blocks * BLOCK, blocks.div_ceil(I::FOURS));
        let format = &I::FORMATS[layout as usize];
        let rounds = rounds && format.bits > 0;
        let form = match blocks >= I::FOURS {
            true if rounds && rounded::has_dots::<I>(format.bits) => Form::Integers(1),
            true if !rounds && I::EXACT_FEW && has_exact(format.bits) => Form::Integers(EXACT),
            true if !rounds && format.has_nibbles => Form::Arranged,
            _ => Form::Natural,
        };
        let (stride, sums) = match form {
            Form::Natural => (width, blocks),
            Form::Arranged => (windows * (NIBBLES + 1) * I::LANES, 0),
            Form::Integers(digits) => (windows * vectors(digits) * I::LANES, 0),
        };
        let len = (stride + sums + 1).checked_mul(m).and_then(|len| len.checked_add(width));
        let scratch = work.scratch(len.ok_or(Fault::OutOfBounds)?);
        let (rows, rest) = scratch.split_at_mut(m * stride);
        let (sums_of_rows, rest) = rest.split_at_mut(m * sums); // [m, blocks]
        let (roots, natural) = rest.split_at_mut(m); // [m], [blocks * 32]
        for (row, root) in roots.iter_mut().enumerate() {
            let (x, to) = (&x[row * k..][..k], &mut rows[row * stride..][..stride]);
            natural[k..].fill(0.0);
            *root = 1.0;
            match norm {
                None => natural[..k].copy_from_slice(x),
                Some(Norm { weight, eps }) => {
                    // SAFETY: As of this function.
                    *root = 1.0 / libm::sqrtf(unsafe { super::rms_norm::squares::<I>(x) } / k as f32 + eps);
                    natural.iter_mut().zip(x.iter().zip(weight)).for_each(|(to, (x, weight))| *to = x * weight);
                }
            }
            // SAFETY: As of this function; rows have whole windows.
            unsafe {
                match form {
                    Form::Arranged => arrange::<I>(natural, to),
                    Form::Integers(1) => integers::<I, 1>(natural, format, to),
                    Form::Integers(_) => integers::<I, EXACT>(natural, format, to),
                    Form::Natural => {
                        if rounds {
                            rounded::rows::<I>(natural, width, to);
                        } else {
                            to.copy_from_slice(natural);
                        }
                        let sums = &mut sums_of_rows[row * sums..][..sums];
                        for (sum, block) in sums.iter_mut().zip(to.as_chunks::<BLOCK>().0) {
                            *sum = block.iter().sum();
                        }
                    }
                }
            }
        }
        let [rows, sums, roots] = [rows.as_ptr(), sums_of_rows.as_ptr(), roots.as_ptr()];
        Ok(Self { form, rows, sums, roots, blocks, stride, count: m })
    }

    /// A vector of a window, by the number of vectors that a window has.
    ///
    /// # Safety
    /// The row is below the count, the window is one of the row, and the instruction set is there.
    #[inline(always)]
    pub(super) unsafe fn window<I: Isa>(&self, row: usize, window: usize, vectors: usize) -> *const f32 {
        // SAFETY: As of this function.
        unsafe { self.rows.add(row * self.stride + window * vectors * I::LANES) }
    }

    /// A block of natural inputs.
    ///
    /// # Safety
    /// The row is below the count, and the block is one of the row.
    #[inline(always)]
    pub(super) unsafe fn block(&self, row: usize, block: usize) -> *const f32 {
        // SAFETY: As of this function.
        unsafe { self.rows.add(row * self.stride + block * BLOCK) }
    }

    /// The sum of a block of natural inputs.
    ///
    /// # Safety
    /// The conditions of [`Self::block`] hold.
    #[inline(always)]
    pub(super) unsafe fn sum(&self, row: usize, block: usize) -> f32 {
        // SAFETY: As of this function.
        unsafe { *self.sums.add(row * self.blocks + block) }
    }

    /// The reciprocal of the root mean square of a row; 1 without a norm.
    ///
    /// # Safety
    /// The row is below the count.
    #[inline(always)]
    pub(super) unsafe fn root(&self, row: usize) -> f32 {
        // SAFETY: As of this function, and the scratch is not used for something else.
        unsafe { *self.roots.add(row) }
    }
}

/// Arranges a row. Word `j` of a block has elements `4j..4j + 4` in the lower nibbles of its bytes, and those 16 further in the upper ones. Blocks that
/// the window before the last has too are zero in the last.
#[inline(always)]
unsafe fn arrange<I: Isa>(natural: &[f32], to: &mut [f32]) {
    const WORTH: [f32; 4] = [1.0, 1.0 / 16.0, 1.0 / 256.0, 1.0 / 4096.0];
    let blocks = natural.as_chunks::<BLOCK>().0;
    for (window, to) in to.chunks_exact_mut((NIBBLES + 1) * I::LANES).enumerate() {
        let first = first_of::<I>(window, blocks.len());
        to.fill(0.0);
        for four in window * I::FOURS - first..I::FOURS {
            let block = &blocks[first + four];
            for half in 0..2 {
                for i in 0..4 {
                    let nibble = 2 * i + half;
                    let mut lanes = [0.0; 4];
                    for j in 0..4 {
                        lanes[j] = block[16 * half + 4 * j + i];
                    }
                    for j in 0..4 {
                        to[NIBBLES * I::LANES + 4 * four + j] += lanes[j];
                        to[nibble * I::LANES + 4 * four + j] = lanes[j] * WORTH[nibble % 4];
                    }
                }
            }
        }
    }
}

/// Products with weights of so many bits are exact with three digits: eight of them fit 32 bits.
pub(super) const fn has_exact(bits: u32) -> bool {
    bits > 0 && bits < 8
}

/// Vectors of a window of integers.
pub(super) const fn vectors(digits: usize) -> usize {
    2 * digits + 3
}

/// Rounds a row to integers. Sums of a lane's products begin with what [`rounded::zero`] takes off quants, for both halves of blocks apart where they
/// have their own scales, else for both together, and with the sum of the lane's inputs. With minima for both halves the vectors are the sums of the
/// inputs of each: nothing is taken off then.
///
/// # Safety
/// The instruction set is there.
#[inline(always)]
unsafe fn integers<I: Isa, const D: usize>(natural: &[f32], format: &OfFormat, to: &mut [f32]) {
    let blocks = natural.as_chunks::<BLOCK>().0;
    for (window, to) in to.chunks_exact_mut(vectors(D) * I::LANES).enumerate() {
        let first = first_of::<I>(window, blocks.len());
        let skipped = window * I::FOURS - first;
        if skipped > 0 {
            to.fill(0.0);
        }
        let (bytes, floats) = to.split_at_mut(2 * D * I::LANES);
        for four in skipped..I::FOURS {
            // SAFETY: As of this function.
            let Digits { digits, scale } = unsafe { rounded::block::<I, D>(&blocks[first + four]) };
            let bytes: &mut [i8] = bytemuck::cast_slice_mut(bytes);
            for (number, digits) in digits.iter().flat_map(|digits| digits.as_chunks::<16>().0).enumerate() {
                bytes[number * 4 * I::LANES + 16 * four..][..16].copy_from_slice(digits);
            }
            floats[4 * four..][..4].fill(scale);
        }
        // SAFETY: As of this function; the window has all vectors.
        unsafe {
            let at = floats.as_mut_ptr();
            let [low, high] = [lane_sums::<I, D>(bytes, 0, format.zero), lane_sums::<I, D>(bytes, 1, format.zero)];
            if format.is_halved && format.has_minima {
                for half in 0..2 {
                    let sums = I::to_floats(lane_sums::<I, D>(bytes, half, 1));
                    I::store(at.add((1 + half) * I::LANES), I::mul(sums, I::load(at)));
                }
            } else if format.is_halved {
                I::store_bytes(at.add(I::LANES).cast(), I::negated(low));
                I::store_bytes(at.add(2 * I::LANES).cast(), I::negated(high));
            } else {
                I::store_bytes(at.add(I::LANES).cast(), I::negated(I::plus(low, high)));
                let sums = I::plus(lane_sums::<I, D>(bytes, 0, 1), lane_sums::<I, D>(bytes, 1, 1));
                I::store(at.add(2 * I::LANES), I::mul(I::to_floats(sums), I::load(at)));
            }
        }
    }
}

/// The sum of the integers of each lane in one half of the blocks, times a small number.
#[inline(always)]
unsafe fn lane_sums<I: Isa, const D: usize>(bytes: &[f32], half: usize, times: u8) -> I::B {
    // SAFETY: The caller has the instructions and the vectors.
    unsafe {
        let (mut sums, times) = (I::splat_bytes([0; 4].as_ptr()), I::splat_bytes([times; 4].as_ptr()));
        for digit in 0..D {
            let digits = I::load_bytes(bytes.as_ptr().add((2 * digit + half) * I::LANES).cast());
            sums = I::dots::<6, 1>(I::times_256(sums), [times], [digits]);
        }
        sums
    }
}
