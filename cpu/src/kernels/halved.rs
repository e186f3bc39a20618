//! Layouts with scales for each half of a block.

use super::formats::Format;
use super::matrix::{GROUP, Matrix};
use super::scales::{Scales, UNSCALED, super_pairs, super_scale, wide_signed};
use crate::isa::Isa;

/// Two bytes of each row of a group: of the lower and of the upper half of a block.
#[inline(always)]
unsafe fn of_halves(matrix: &Matrix<'_>, plane: usize, group: usize, block: usize) -> [[u8; 2]; GROUP] {
    // SAFETY: As of `Format`.
    unsafe { matrix.at(plane, (group * matrix.blocks + block) * 8).cast::<[[u8; 2]; GROUP]>().read() }
}

/// Integer scales of both halves of a block of a row.
#[inline(always)]
unsafe fn integer_scales(matrix: &Matrix<'_>, plane: usize, row: usize, block: usize) -> [f32; 2] {
    // SAFETY: As of `Format`.
    let halves = unsafe { of_halves(matrix, plane, row / GROUP, block) }[row % GROUP];
    [f32::from(halves[0].cast_signed()), f32::from(halves[1].cast_signed())]
}

/// [`Format::halves`] of integer scales and of scales of those; nothing is added to numbers.
#[inline(always)]
unsafe fn scales_of_halves<I: Isa>(matrix: &Matrix<'_>, planes: [usize; 2], group: usize, block: usize) -> [Scales; 2] {
    // SAFETY: As of `Format`.
    unsafe {
        let d = super_scale::<I>(matrix, planes[1], group, block);
        let integers = of_halves(matrix, planes[0], group, block);
        let mut halves = [UNSCALED; 2];
        for (half, scales) in halves.iter_mut().enumerate() {
            for row in 0..GROUP {
                scales.scale[row] = d[row] * f32::from(integers[row][half].cast_signed());
            }
        }
        halves
    }
}

/// [`Layout::Q6K`](crate::Layout::Q6K).
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
            let quants = I::six_bits(matrix.at(0, unit * 16), matrix.at(1, unit * 8));
            // Integer scales: products with them are whole numbers, without a rounding.
            I::scaled(quants, 32.0, integer_scales(matrix, 2, row, block))
        }
    }

    #[inline(always)]
    unsafe fn scales<I: Isa>(matrix: &Matrix<'_>, group: usize, block: usize) -> Scales {
        // SAFETY: As of the trait.
        Scales { scale: unsafe { super_scale::<I>(matrix, 3, group, block) }, least: [0.0; GROUP] }
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
        unsafe { scales_of_halves::<I>(matrix, [2, 3], group, block) }
    }

    #[inline(always)]
    unsafe fn wide_scales<I: Isa>(matrix: &Matrix<'_>, group: usize, block: usize) -> [[I::F; GROUP]; 2] {
        // SAFETY: As of the trait.
        unsafe { wide_signed::<I>(matrix, [2, 3], group, block, 0) }
    }

    #[inline(always)]
    unsafe fn wide_upper_scales<I: Isa>(matrix: &Matrix<'_>, group: usize, block: usize) -> Option<[[I::F; GROUP]; 2]> {
        // SAFETY: As of the trait.
        Some(unsafe { wide_signed::<I>(matrix, [2, 3], group, block, 1) })
    }
}

/// [`Layout::Q3K`](crate::Layout::Q3K).
pub(crate) struct Q3K;

impl Format for Q3K {
    const BITS: u32 = 4;
    const ZERO: u8 = 4;
    const IS_HALVED: bool = true;
    const HAS_LEAST: bool = false;

    #[inline(always)]
    unsafe fn quants<I: Isa>(matrix: &Matrix<'_>, row: usize, block: usize) -> I::Block {
        // SAFETY: As of the trait.
        unsafe { I::scaled(I::nibbles(matrix.nibbles(row, block)), 4.0, integer_scales(matrix, 1, row, block)) }
    }

    #[inline(always)]
    unsafe fn scales<I: Isa>(matrix: &Matrix<'_>, group: usize, block: usize) -> Scales {
        // SAFETY: As of the trait.
        Scales { scale: unsafe { super_scale::<I>(matrix, 2, group, block) }, least: [0.0; GROUP] }
    }

    #[inline(always)]
    unsafe fn halves<I: Isa>(matrix: &Matrix<'_>, group: usize, block: usize) -> [Scales; 2] {
        // SAFETY: As of the trait.
        unsafe { scales_of_halves::<I>(matrix, [1, 2], group, block) }
    }
}

/// [`Layout::Q2K`](crate::Layout::Q2K). Halves have minima of their own, so blocks of floats are read with their scales.
pub(crate) struct Q2K;

impl Format for Q2K {
    const BITS: u32 = 4;
    const ZERO: u8 = 0;
    const HAS_MINIMA: bool = true;
    const IS_HALVED: bool = true;
    const HAS_SCALES: bool = false;
    const HAS_LEAST: bool = false;

    #[inline(always)]
    unsafe fn quants<I: Isa>(matrix: &Matrix<'_>, row: usize, block: usize) -> I::Block {
        // SAFETY: As of the trait; a half of a block is whole vectors.
        unsafe {
            let halves = Self::halves::<I>(matrix, row / GROUP, block);
            let mut numbers = I::nibbles(matrix.nibbles(row, block));
            for (index, vector) in numbers.as_mut().iter_mut().enumerate() {
                let of_half = halves[index * I::LANES / 16];
                let (scale, least) = (of_half.scale[row % GROUP], of_half.least[row % GROUP]);
                *vector = I::fma(*vector, I::splat(scale), I::splat(least));
            }
            numbers
        }
    }

    #[inline(always)]
    unsafe fn scales<I: Isa>(_: &Matrix<'_>, _: usize, _: usize) -> Scales {
        UNSCALED
    }

    #[inline(always)]
    unsafe fn halves<I: Isa>(matrix: &Matrix<'_>, group: usize, block: usize) -> [Scales; 2] {
        // SAFETY: As of the trait.
        unsafe {
            let [d, least] = super_pairs::<I>(matrix, 2, group, block);
            let integers = of_halves(matrix, 1, group, block);
            let mut halves = [UNSCALED; 2];
            for (half, scales) in halves.iter_mut().enumerate() {
                for row in 0..GROUP {
                    let both = integers[row][half];
                    scales.scale[row] = d[row] * f32::from(both & 15);
                    scales.least[row] = -(least[row] * f32::from(both >> 4));
                }
            }
            halves
        }
    }
}
