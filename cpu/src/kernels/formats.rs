//! Blocks of 32 numbers in every layout. A number is `scale * quant + least`.

use super::matrix::{GROUP, Matrix};
use super::scales::{Scales, UNSCALED, block_minima, plain_scales, super_scales, wide_plain, wide_super};
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
    /// The number that is subtracted from quants where these are multiplied as bytes, so that sums fit 32 bits; 0 for signed quants of 8 bits.
    const ZERO: u8 = if Self::BITS == 0 || Self::BITS == 8 { 0 } else { 1 << (Self::BITS - 1) };
    /// Bytes of a block in the first plane.
    const BYTES: usize = 16;
    /// Minima, which are added to scaled quants, are stored for each block or half of one.
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
    unsafe fn wide_upper_scales<I: Isa>(matrix: &Matrix<'_>, group: usize, block: usize) -> Option<[[I::F; GROUP]; 2]> {
        // SAFETY: As of the trait.
        if Self::IS_HALVED { Some(unsafe { wide::<I, Self>(matrix, group, block, 1) }) } else { None }
    }

    /// The scales of as many blocks as a vector has fours: of each row, a vector of scales and one of what is added.
    #[inline(always)]
    unsafe fn wide_scales<I: Isa>(matrix: &Matrix<'_>, group: usize, block: usize) -> [[I::F; GROUP]; 2] {
        // SAFETY: As of the trait.
        unsafe { wide::<I, Self>(matrix, group, block, 0) }
    }
}

/// [`Format::wide_scales`] of one half of the blocks, from the scales of single blocks.
#[inline(always)]
unsafe fn wide<I: Isa, L: Format + ?Sized>(
    matrix: &Matrix<'_>,
    group: usize,
    block: usize,
    half: usize,
) -> [[I::F; GROUP]; 2] {
    // SAFETY: As of `Format`; there is room for the lanes of every set.
    unsafe {
        let mut lanes = [[[0.0_f32; 16]; GROUP]; 2];
        for four in 0..I::FOURS {
            let scales = L::halves::<I>(matrix, group, block + four)[half];
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

/// [`Layout::Q5_1`].
pub(crate) struct Q5_1;

impl Format for Q5_1 {
    const BITS: u32 = 5;
    const HAS_MINIMA: bool = true;

    #[inline(always)]
    unsafe fn quants<I: Isa>(matrix: &Matrix<'_>, row: usize, block: usize) -> I::Block {
        // SAFETY: As of the trait.
        unsafe { Q5_0::quants::<I>(matrix, row, block) }
    }

    #[inline(always)]
    unsafe fn scales<I: Isa>(matrix: &Matrix<'_>, group: usize, block: usize) -> Scales {
        // SAFETY: As of the trait.
        unsafe { block_minima::<I>(matrix, 2, group, block) }
    }

    #[inline(always)]
    unsafe fn integers<I: Isa>(matrix: &Matrix<'_>, row: usize, block: usize) -> [I::B; 2] {
        // SAFETY: As of the trait.
        unsafe { Q5_0::integers::<I>(matrix, row, block) }
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
        let unit = row * matrix.blocks + block;
        // SAFETY: As of the trait.
        unsafe {
            let (nibbles, high) =
                (I::split(I::load_bytes(matrix.at(0, unit * 16))), I::fifth_bits(matrix.at(1, unit * 4)));
            [I::or(nibbles[0], high[0]), I::or(nibbles[1], high[1])]
        }
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
        unsafe { block_minima::<I>(matrix, 1, group, block) }
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
        unsafe { Q5_0::integers::<I>(matrix, row, block) }
    }

    #[inline(always)]
    unsafe fn wide_scales<I: Isa>(matrix: &Matrix<'_>, group: usize, block: usize) -> [[I::F; GROUP]; 2] {
        // SAFETY: As of the trait.
        unsafe { wide_super::<I>(matrix, [2, 3], group, block) }
    }
}
