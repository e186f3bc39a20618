//! Blocks of 32 numbers in every layout. A number is `scale * quant + least`.

use super::matrix::{GROUP, Matrix, SUPER};
use super::scales::{
    SUPER_UNIT, Scales, UNSCALED, pairs, plain_scales, super_scales, wide, wide_plain, wide_signed, wide_super,
};
use crate::isa::Isa;

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
    /// Bits of a quant; 0 for floats.
    const BITS: u32;
    /// Bytes of a block in the first plane.
    const BYTES: usize = 16;
    /// What is added to scaled quants is stored for each block.
    const HAS_MINIMA: bool = false;
    /// Both halves of a block have their own scales.
    const IS_HALVED: bool = false;

    /// The quants of a block.
    unsafe fn quants<I: Isa>(matrix: &Matrix<'_>, row: usize, block: usize) -> I::Block;
    /// The scales of a block of the rows of a group.
    unsafe fn scales<I: Isa>(matrix: &Matrix<'_>, group: usize, block: usize) -> Scales;

    /// The quants of as many blocks as a vector has fours, as bytes: the lower and the upper halves.
    #[inline(always)]
    unsafe fn integers<I: Isa>(matrix: &Matrix<'_>, row: usize, block: usize) -> [I::B; 2] {
        // SAFETY: As of the trait.
        unsafe { I::split(I::load_bytes(matrix.nibbles(row, block))) }
    }

    /// The scales of both halves of a block for [`Self::integers`].
    #[inline(always)]
    unsafe fn halves<I: Isa>(matrix: &Matrix<'_>, group: usize, block: usize) -> [Scales; 2] {
        // SAFETY: As of the trait.
        [unsafe { Self::scales::<I>(matrix, group, block) }; 2]
    }

    /// The scales of the upper halves of blocks, if they have their own; those of [`Self::wide_scales`] are of the lower halves then.
    #[inline(always)]
    unsafe fn wide_upper_scales<I: Isa>(_: &Matrix<'_>, _: usize, _: usize) -> Option<[I::F; GROUP]> {
        None
    }

    /// The scales of as many blocks as a vector has fours: of each row, a vector of scales and one of what is added.
    #[inline(always)]
    unsafe fn wide_scales<I: Isa>(matrix: &Matrix<'_>, group: usize, block: usize) -> [[I::F; GROUP]; 2] {
        // SAFETY: As of the trait.
        unsafe {
            let mut scales = [UNSCALED; 4];
            for four in 0..I::FOURS {
                scales[four] = Self::scales::<I>(matrix, group, block + four);
            }
            wide::<I>(&scales)
        }
    }
}

/// [`Format::integers`] of nibbles with a fifth bit.
#[inline(always)]
unsafe fn five_bits<I: Isa>(matrix: &Matrix<'_>, row: usize, block: usize) -> [I::B; 2] {
    let unit = row * matrix.blocks + block;
    // SAFETY: As of `Format`.
    unsafe {
        let (nibbles, high) = (I::split(I::load_bytes(matrix.at(0, unit * 16))), I::fifth_bits(matrix.at(1, unit * 4)));
        [I::or(nibbles[0], high[0]), I::or(nibbles[1], high[1])]
    }
}

/// [`Layout::F32`].
pub(crate) struct F32;

impl Format for F32 {
    const BYTES: usize = 128;
    const BITS: u32 = 0;
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
    const BYTES: usize = 64;
    const BITS: u32 = 0;
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
    const BYTES: usize = 32;
    const BITS: u32 = 8;
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

    #[inline(always)]
    unsafe fn integers<I: Isa>(matrix: &Matrix<'_>, row: usize, block: usize) -> [I::B; 2] {
        let unit = row * matrix.blocks + block;
        // SAFETY: As of the trait.
        unsafe { I::whole_bytes(matrix.at(0, unit * 32)) }
    }

    #[inline(always)]
    unsafe fn wide_scales<I: Isa>(matrix: &Matrix<'_>, group: usize, block: usize) -> [[I::F; GROUP]; 2] {
        // SAFETY: As of the trait.
        unsafe { wide_plain::<I>(matrix, 1, group, block, 0.0) }
    }
}

/// [`Layout::Q5_0`].
pub(crate) struct Q5_0;

impl Format for Q5_0 {
    const BITS: u32 = 5;

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

    #[inline(always)]
    unsafe fn integers<I: Isa>(matrix: &Matrix<'_>, row: usize, block: usize) -> [I::B; 2] {
        // SAFETY: As of the trait.
        unsafe { five_bits::<I>(matrix, row, block) }
    }

    #[inline(always)]
    unsafe fn wide_scales<I: Isa>(matrix: &Matrix<'_>, group: usize, block: usize) -> [[I::F; GROUP]; 2] {
        // SAFETY: As of the trait.
        unsafe { wide_plain::<I>(matrix, 2, group, block, 16.0) }
    }
}

/// [`Layout::Q4_0`].
pub(crate) struct Q4_0;

impl Format for Q4_0 {
    const BITS: u32 = 4;
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
        unsafe { wide_plain::<I>(matrix, 1, group, block, 8.0) }
    }
}

/// [`Layout::Q4_64`].
pub(crate) struct Q4_64;

impl Format for Q4_64 {
    const BITS: u32 = 4;
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
    const BITS: u32 = 4;
    const HAS_NIBBLES: bool = true;
    const HAS_MINIMA: bool = true;

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
    const BITS: u32 = 4;
    const HAS_NIBBLES: bool = true;
    const HAS_MINIMA: bool = true;

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

    #[inline(always)]
    unsafe fn wide_scales<I: Isa>(matrix: &Matrix<'_>, group: usize, block: usize) -> [[I::F; GROUP]; 2] {
        // SAFETY: As of the trait.
        unsafe { wide_super::<I>(matrix, [1, 2], group, block) }
    }
}

/// [`Layout::Q5K`].
pub(crate) struct Q5K;

impl Format for Q5K {
    const BITS: u32 = 5;
    const HAS_MINIMA: bool = true;

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

    #[inline(always)]
    unsafe fn integers<I: Isa>(matrix: &Matrix<'_>, row: usize, block: usize) -> [I::B; 2] {
        // SAFETY: As of the trait.
        unsafe { five_bits::<I>(matrix, row, block) }
    }

    #[inline(always)]
    unsafe fn wide_scales<I: Isa>(matrix: &Matrix<'_>, group: usize, block: usize) -> [[I::F; GROUP]; 2] {
        // SAFETY: As of the trait.
        unsafe { wide_super::<I>(matrix, [2, 3], group, block) }
    }
}

/// [`Layout::Q6K`].
pub(crate) struct Q6K;

impl Format for Q6K {
    const BITS: u32 = 6;
    const IS_HALVED: bool = true;
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

    #[inline(always)]
    unsafe fn integers<I: Isa>(matrix: &Matrix<'_>, row: usize, block: usize) -> [I::B; 2] {
        let unit = row * matrix.blocks + block;
        // SAFETY: As of the trait.
        unsafe {
            let (nibbles, high) =
                (I::split(I::load_bytes(matrix.at(0, unit * 16))), I::sixth_bits(matrix.at(1, unit * 8)));
            [I::or(nibbles[0], high[0]), I::or(nibbles[1], high[1])]
        }
    }

    #[inline(always)]
    unsafe fn halves<I: Isa>(matrix: &Matrix<'_>, group: usize, block: usize) -> [Scales; 2] {
        // SAFETY: As of the trait.
        unsafe {
            let Scales { scale: d, .. } = Self::scales::<I>(matrix, group, block);
            let integers = matrix.at(2, (group * matrix.blocks + block) * 8).cast::<[[i8; 2]; GROUP]>().read();
            let mut halves = [UNSCALED; 2];
            for (half, scales) in halves.iter_mut().enumerate() {
                for row in 0..GROUP {
                    scales.scale[row] = d[row] * f32::from(integers[row][half]);
                    scales.least[row] = -32.0 * scales.scale[row];
                }
            }
            halves
        }
    }

    #[inline(always)]
    unsafe fn wide_scales<I: Isa>(matrix: &Matrix<'_>, group: usize, block: usize) -> [[I::F; GROUP]; 2] {
        // SAFETY: As of the trait. What is added is taken off quants before they are multiplied.
        [unsafe { wide_signed::<I>(matrix, [2, 3], group, block, 0) }, [unsafe { I::splat(0.0) }; GROUP]]
    }

    #[inline(always)]
    unsafe fn wide_upper_scales<I: Isa>(matrix: &Matrix<'_>, group: usize, block: usize) -> Option<[I::F; GROUP]> {
        // SAFETY: As of the trait.
        Some(unsafe { wide_signed::<I>(matrix, [2, 3], group, block, 1) })
    }
}
