//! Layouts whose quants select integers of a table.

use core::marker::PhantomData;

use super::formats::Format;
use super::matrix::{GROUP, Matrix};
use super::scales::{Scales, plain_scales, super_scale};
use crate::isa::Isa;

/// Integers of [`Layout::Iq4Nl`](crate::Layout::Iq4Nl), as `ocelli::layout::codes` has them.
const IQ4: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];
/// Twice the 4-bit floats of [`Layout::Mxfp4`](crate::Layout::Mxfp4).
const FP4: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

/// Table and scales of a layout.
///
/// # Safety
/// The conditions of [`Format`].
pub(crate) trait Codes {
    /// Integers that quants select.
    const TABLE: [i8; 16];

    /// Scales of a block.
    unsafe fn scales<I: Isa>(matrix: &Matrix<'_>, group: usize, block: usize) -> Scales;
}

/// A layout with a table.
pub(crate) struct Coded<C>(PhantomData<C>);

impl<C: Codes> Format for Coded<C> {
    const BITS: u32 = 8;
    const HAS_LEAST: bool = false;

    #[inline(always)]
    unsafe fn quants<I: Isa>(matrix: &Matrix<'_>, row: usize, block: usize) -> I::Block {
        // SAFETY: As of the trait.
        unsafe { I::codes(matrix.nibbles(row, block), &C::TABLE) }
    }

    #[inline(always)]
    unsafe fn scales<I: Isa>(matrix: &Matrix<'_>, group: usize, block: usize) -> Scales {
        // SAFETY: As of the trait.
        unsafe { C::scales::<I>(matrix, group, block) }
    }

    #[inline(always)]
    unsafe fn integers<I: Isa>(matrix: &Matrix<'_>, row: usize, block: usize) -> [I::B; 2] {
        // SAFETY: As of the trait.
        unsafe {
            let [low, high] = I::split(I::load_bytes(matrix.nibbles(row, block)));
            [I::select(&C::TABLE, low), I::select(&C::TABLE, high)]
        }
    }
}

/// [`Layout::Iq4Nl`](crate::Layout::Iq4Nl).
pub(crate) struct Iq4Nl;

impl Codes for Iq4Nl {
    const TABLE: [i8; 16] = IQ4;

    #[inline(always)]
    unsafe fn scales<I: Isa>(matrix: &Matrix<'_>, group: usize, block: usize) -> Scales {
        // SAFETY: As of the trait.
        unsafe { plain_scales::<I>(matrix, 1, group * matrix.blocks + block, 0.0) }
    }
}

/// [`Layout::Iq4Xs`](crate::Layout::Iq4Xs).
pub(crate) struct Iq4Xs;

impl Codes for Iq4Xs {
    const TABLE: [i8; 16] = IQ4;

    #[inline(always)]
    unsafe fn scales<I: Isa>(matrix: &Matrix<'_>, group: usize, block: usize) -> Scales {
        // SAFETY: As of the trait.
        unsafe {
            let integers = matrix.at(1, (group * matrix.blocks + block) * GROUP).cast::<[i8; GROUP]>().read();
            let mut scale = super_scale::<I>(matrix, 2, group, block);
            for row in 0..GROUP {
                scale[row] *= f32::from(integers[row]);
            }
            Scales { scale, least: [0.0; GROUP] }
        }
    }
}

/// [`Layout::Mxfp4`](crate::Layout::Mxfp4).
pub(crate) struct Mxfp4;

impl Codes for Mxfp4 {
    const TABLE: [i8; 16] = FP4;

    #[inline(always)]
    unsafe fn scales<I: Isa>(matrix: &Matrix<'_>, group: usize, block: usize) -> Scales {
        // SAFETY: As of the trait.
        let exponents = unsafe { matrix.at(1, (group * matrix.blocks + block) * GROUP).cast::<[u8; GROUP]>().read() };
        // The least two powers are zero, as on GPUs.
        let scale = exponents.map(|exponent| f32::from_bits(u32::from(exponent.max(1) - 1) << 23));
        Scales { scale, least: [0.0; GROUP] }
    }
}
