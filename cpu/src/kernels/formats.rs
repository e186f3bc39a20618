//! Blocks of 32 numbers in every layout. A number is `scale * quant + least`.

use super::matrix::{GROUP, Matrix, SUPER};
use crate::isa::Isa;

/// Scales of scales are stored so many times too large, see `ocelli::layout::device_bytes`.
const SUPER_UNIT: f32 = 1.0 / 1024.0;

/// Scales of a block of four rows, and what is added to its numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scales {
    pub(crate) scale: [f32; GROUP],
    pub(crate) least: [f32; GROUP],
}

/// How a layout stores blocks.
///
/// # Safety
/// Rows and blocks are within the matrix, and the instruction set is there.
pub(crate) trait Format {
    /// Numbers are quants with scales.
    const HAS_SCALES: bool = true;
    /// Something is added to the scaled quants.
    const HAS_LEAST: bool = true;
    /// Quants are nibbles alone.
    const HAS_NIBBLES: bool = false;

    /// The quants of a block.
    unsafe fn quants<I: Isa>(matrix: &Matrix<'_>, row: usize, block: usize) -> I::Block;
    /// The scales of a block of the rows of a group.
    unsafe fn scales<I: Isa>(matrix: &Matrix<'_>, group: usize, block: usize) -> Scales;

    /// The scales of as many blocks as a vector has fours: of each row, a vector of scales and one of what is added.
    #[inline(always)]
    unsafe fn wide_scales<I: Isa>(matrix: &Matrix<'_>, group: usize, block: usize) -> [[I::F; GROUP]; 2] {
        // SAFETY: As of the trait; there is room for the lanes of every set.
        unsafe {
            let mut lanes = [[[0.0_f32; 16]; GROUP]; 2];
            for four in 0..I::LANES / 4 {
                let scales = Self::scales::<I>(matrix, group, block + four);
                for row in 0..GROUP {
                    for lane in 4 * four..4 * four + 4 {
                        lanes[0][row][lane] = scales.scale[row];
                        lanes[1][row][lane] = scales.least[row];
                    }
                }
            }
            let mut wide = [[I::splat(0.0); GROUP]; 2];
            for row in 0..GROUP {
                wide[0][row] = I::load(lanes[0][row].as_ptr());
                wide[1][row] = I::load(lanes[1][row].as_ptr());
            }
            wide
        }
    }
}

/// No scales.
const UNSCALED: Scales = Scales { scale: [1.0; GROUP], least: [0.0; GROUP] };

/// Four 16-bit scales of a group's block, each a piece of `stride` bytes.
#[inline(always)]
unsafe fn plain_scales<I: Isa>(matrix: &Matrix<'_>, plane: usize, unit: usize, zero: f32) -> Scales {
    // SAFETY: As of `Format`.
    let scale = unsafe { I::four_halves(matrix.at(plane, unit * 8).cast()) };
    Scales { scale, least: scale.map(|scale| -zero * scale) }
}

/// Four pairs of 16-bit floats.
#[inline(always)]
unsafe fn pairs<I: Isa>(from: *const u8) -> ([f32; GROUP], [f32; GROUP]) {
    // SAFETY: As of `Format`.
    let (a, b) = unsafe { (I::four_halves(from.cast()), I::four_halves(from.add(8).cast())) };
    ([a[0], a[2], b[0], b[2]], [a[1], a[3], b[1], b[3]])
}

/// Integer scales and minima of a group's block, times their own scales.
#[inline(always)]
unsafe fn super_scales<I: Isa>(matrix: &Matrix<'_>, planes: [usize; 2], group: usize, block: usize) -> Scales {
    // SAFETY: As of `Format`.
    unsafe {
        let integers = matrix.at(planes[0], (group * matrix.blocks + block) * 8).cast::<[[u8; 2]; GROUP]>().read();
        let unit = group * matrix.blocks.div_ceil(SUPER) + block / SUPER;
        let (d, least) = pairs::<I>(matrix.at(planes[1], unit * 16));
        let mut scales = UNSCALED;
        for row in 0..GROUP {
            scales.scale[row] = d[row] * SUPER_UNIT * f32::from(integers[row][0]);
            scales.least[row] = -(least[row] * SUPER_UNIT * f32::from(integers[row][1]));
        }
        scales
    }
}

/// [`Layout::F32`].
pub(crate) struct F32;

impl Format for F32 {
    const HAS_SCALES: bool = false;
    const HAS_LEAST: bool = false;

    #[inline(always)]
    unsafe fn quants<I: Isa>(matrix: &Matrix<'_>, row: usize, block: usize) -> I::Block {
        let unit = row * matrix.blocks + block;
        // SAFETY: As of the trait.
        unsafe { I::floats(matrix.at(0, unit * 128).cast()) }
    }

    #[inline(always)]
    unsafe fn scales<I: Isa>(_: &Matrix<'_>, _: usize, _: usize) -> Scales {
        UNSCALED
    }
}

/// [`Layout::F16`].
pub(crate) struct F16;

impl Format for F16 {
    const HAS_SCALES: bool = false;
    const HAS_LEAST: bool = false;

    #[inline(always)]
    unsafe fn quants<I: Isa>(matrix: &Matrix<'_>, row: usize, block: usize) -> I::Block {
        let unit = row * matrix.blocks + block;
        // SAFETY: As of the trait.
        unsafe { I::halves(matrix.at(0, unit * 64).cast()) }
    }

    #[inline(always)]
    unsafe fn scales<I: Isa>(_: &Matrix<'_>, _: usize, _: usize) -> Scales {
        UNSCALED
    }
}

/// [`Layout::Q8_0`].
pub(crate) struct Q8_0;

impl Format for Q8_0 {
    const HAS_LEAST: bool = false;

    #[inline(always)]
    unsafe fn quants<I: Isa>(matrix: &Matrix<'_>, row: usize, block: usize) -> I::Block {
        let unit = row * matrix.blocks + block;
        // SAFETY: As of the trait.
        unsafe { I::bytes(matrix.at(0, unit * 32).cast()) }
    }

    #[inline(always)]
    unsafe fn scales<I: Isa>(matrix: &Matrix<'_>, group: usize, block: usize) -> Scales {
        // SAFETY: As of the trait.
        unsafe { plain_scales::<I>(matrix, 1, group * matrix.blocks + block, 0.0) }
    }
}

/// [`Layout::Q5_0`].
pub(crate) struct Q5_0;

impl Format for Q5_0 {
    #[inline(always)]
    unsafe fn quants<I: Isa>(matrix: &Matrix<'_>, row: usize, block: usize) -> I::Block {
        let unit = row * matrix.blocks + block;
        // SAFETY: As of the trait.
        unsafe { I::five_bits(matrix.at(0, unit * 16), matrix.at(1, unit * 4)) }
    }

    #[inline(always)]
    unsafe fn scales<I: Isa>(matrix: &Matrix<'_>, group: usize, block: usize) -> Scales {
        // SAFETY: As of the trait.
        unsafe { plain_scales::<I>(matrix, 2, group * matrix.blocks + block, 16.0) }
    }
}

/// [`Layout::Q4_0`].
pub(crate) struct Q4_0;

impl Format for Q4_0 {
    const HAS_NIBBLES: bool = true;

    #[inline(always)]
    unsafe fn quants<I: Isa>(matrix: &Matrix<'_>, row: usize, block: usize) -> I::Block {
        let unit = row * matrix.blocks + block;
        // SAFETY: As of the trait.
        unsafe { I::nibbles(matrix.at(0, unit * 16)) }
    }

    #[inline(always)]
    unsafe fn scales<I: Isa>(matrix: &Matrix<'_>, group: usize, block: usize) -> Scales {
        // SAFETY: As of the trait.
        unsafe { plain_scales::<I>(matrix, 1, group * matrix.blocks + block, 8.0) }
    }

    #[inline(always)]
    unsafe fn wide_scales<I: Isa>(matrix: &Matrix<'_>, group: usize, block: usize) -> [[I::F; GROUP]; 2] {
        // SAFETY: As of the trait.
        unsafe {
            let all = I::load_halves(matrix.at(1, (group * matrix.blocks + block) * 8).cast());
            let scale = [
                I::lane_of_four::<0>(all),
                I::lane_of_four::<1>(all),
                I::lane_of_four::<2>(all),
                I::lane_of_four::<3>(all),
            ];
            let (mut least, zero) = (scale, I::splat(-8.0));
            for row in 0..GROUP {
                least[row] = I::mul(scale[row], zero);
            }
            [scale, least]
        }
    }
}

/// [`Layout::Q4_64`].
pub(crate) struct Q4_64;

impl Format for Q4_64 {
    const HAS_NIBBLES: bool = true;

    #[inline(always)]
    unsafe fn quants<I: Isa>(matrix: &Matrix<'_>, row: usize, block: usize) -> I::Block {
        let unit = row * matrix.blocks + block;
        // SAFETY: As of the trait.
        unsafe { I::nibbles(matrix.at(0, unit * 16)) }
    }

    #[inline(always)]
    unsafe fn scales<I: Isa>(matrix: &Matrix<'_>, group: usize, block: usize) -> Scales {
        // SAFETY: As of the trait.
        unsafe { plain_scales::<I>(matrix, 1, group * matrix.blocks.div_ceil(2) + block / 2, 8.0) }
    }
}

/// [`Layout::Q4_1`].
pub(crate) struct Q4_1;

impl Format for Q4_1 {
    const HAS_NIBBLES: bool = true;

    #[inline(always)]
    unsafe fn quants<I: Isa>(matrix: &Matrix<'_>, row: usize, block: usize) -> I::Block {
        let unit = row * matrix.blocks + block;
        // SAFETY: As of the trait.
        unsafe { I::nibbles(matrix.at(0, unit * 16)) }
    }

    #[inline(always)]
    unsafe fn scales<I: Isa>(matrix: &Matrix<'_>, group: usize, block: usize) -> Scales {
        // SAFETY: As of the trait.
        unsafe {
            let (scale, least) = pairs::<I>(matrix.at(1, (group * matrix.blocks + block) * 16));
            Scales { scale, least }
        }
    }
}

/// [`Layout::Q4K`].
pub(crate) struct Q4K;

impl Format for Q4K {
    const HAS_NIBBLES: bool = true;

    #[inline(always)]
    unsafe fn quants<I: Isa>(matrix: &Matrix<'_>, row: usize, block: usize) -> I::Block {
        let unit = row * matrix.blocks + block;
        // SAFETY: As of the trait.
        unsafe { I::nibbles(matrix.at(0, unit * 16)) }
    }

    #[inline(always)]
    unsafe fn scales<I: Isa>(matrix: &Matrix<'_>, group: usize, block: usize) -> Scales {
        // SAFETY: As of the trait.
        unsafe { super_scales::<I>(matrix, [1, 2], group, block) }
    }
}

/// [`Layout::Q5K`].
pub(crate) struct Q5K;

impl Format for Q5K {
    #[inline(always)]
    unsafe fn quants<I: Isa>(matrix: &Matrix<'_>, row: usize, block: usize) -> I::Block {
        let unit = row * matrix.blocks + block;
        // SAFETY: As of the trait.
        unsafe { I::five_bits(matrix.at(0, unit * 16), matrix.at(1, unit * 4)) }
    }

    #[inline(always)]
    unsafe fn scales<I: Isa>(matrix: &Matrix<'_>, group: usize, block: usize) -> Scales {
        // SAFETY: As of the trait.
        unsafe { super_scales::<I>(matrix, [2, 3], group, block) }
    }
}

/// [`Layout::Q6K`].
pub(crate) struct Q6K;

impl Format for Q6K {
    const HAS_LEAST: bool = false;

    #[inline(always)]
    unsafe fn quants<I: Isa>(matrix: &Matrix<'_>, row: usize, block: usize) -> I::Block {
        let unit = row * matrix.blocks + block;
        // SAFETY: As of the trait.
        unsafe {
            // The scales of both halves of a block are whole numbers: so are the products, without a rounding.
            let at = ((row / GROUP * matrix.blocks + block) * GROUP + row % GROUP) * 2;
            let [low, high] = matrix.at(2, at).cast::<[i8; 2]>().read();
            let quants = I::six_bits(matrix.at(0, unit * 16), matrix.at(1, unit * 8));
            I::scaled(quants, 32.0, [f32::from(low), f32::from(high)])
        }
    }

    #[inline(always)]
    unsafe fn scales<I: Isa>(matrix: &Matrix<'_>, group: usize, block: usize) -> Scales {
        // SAFETY: As of the trait.
        unsafe {
            let unit = group * matrix.blocks.div_ceil(SUPER) + block / SUPER;
            let scale = I::four_halves(matrix.at(3, unit * 8).cast()).map(|scale| scale * SUPER_UNIT);
            Scales { scale, least: [0.0; GROUP] }
        }
    }
}
