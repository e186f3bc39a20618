//! Scales of blocks, and what is added to their numbers.

use super::matrix::{GROUP, Matrix, SUPER};
use crate::isa::Isa;

/// Scales of scales are stored so many times too large, see `ocelli::layout::device_bytes`.
pub(super) const SUPER_UNIT: f32 = 1.0 / 1024.0;

/// Scales of a block of four rows, and what is added to its numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scales {
    pub(super) scale: [f32; GROUP],
    pub(super) least: [f32; GROUP],
}

/// No scales.
pub(super) const UNSCALED: Scales = Scales { scale: [1.0; GROUP], least: [0.0; GROUP] };

/// Four 16-bit scales of a group's block, each a piece of `stride` bytes.
#[inline(always)]
pub(super) unsafe fn plain_scales<I: Isa>(matrix: &Matrix<'_>, plane: usize, unit: usize, zero: f32) -> Scales {
    // SAFETY: As of `super::formats::Format`.
    let scale = unsafe { I::four_halves(matrix.at(plane, unit * 8).cast()) };
    Scales { scale, least: scale.map(|scale| -zero * scale) }
}

/// Four pairs of 16-bit floats.
#[inline(always)]
pub(super) unsafe fn pairs<I: Isa>(from: *const u8) -> ([f32; GROUP], [f32; GROUP]) {
    // SAFETY: As of `super::formats::Format`.
    let (a, b) = unsafe { (I::four_halves(from.cast()), I::four_halves(from.add(8).cast())) };
    ([a[0], a[2], b[0], b[2]], [a[1], a[3], b[1], b[3]])
}

/// 16-bit scales and minima of a group's block.
#[inline(always)]
pub(super) unsafe fn block_minima<I: Isa>(matrix: &Matrix<'_>, plane: usize, group: usize, block: usize) -> Scales {
    // SAFETY: As of `super::formats::Format`.
    let (scale, least) = unsafe { pairs::<I>(matrix.at(plane, (group * matrix.blocks + block) * 16)) };
    Scales { scale, least }
}

/// The 16-bit scale of the scales of a group's blocks.
#[inline(always)]
pub(super) unsafe fn super_scale<I: Isa>(
    matrix: &Matrix<'_>,
    plane: usize,
    group: usize,
    block: usize,
) -> [f32; GROUP] {
    let unit = group * matrix.blocks.div_ceil(SUPER) + block / SUPER;
    // SAFETY: As of `super::formats::Format`.
    unsafe { I::four_halves(matrix.at(plane, unit * 8).cast()) }.map(|scale| scale * SUPER_UNIT)
}

/// The 16-bit scales of the scales and of the minima of a group's blocks.
#[inline(always)]
pub(super) unsafe fn super_pairs<I: Isa>(
    matrix: &Matrix<'_>,
    plane: usize,
    group: usize,
    block: usize,
) -> [[f32; GROUP]; 2] {
    let unit = group * matrix.blocks.div_ceil(SUPER) + block / SUPER;
    // SAFETY: As of `super::formats::Format`.
    let (d, least) = unsafe { pairs::<I>(matrix.at(plane, unit * 16)) };
    [d.map(|d| d * SUPER_UNIT), least.map(|least| least * SUPER_UNIT)]
}

/// Integer scales and minima of a group's block, times their own scales.
#[inline(always)]
pub(super) unsafe fn super_scales<I: Isa>(
    matrix: &Matrix<'_>,
    planes: [usize; 2],
    group: usize,
    block: usize,
) -> Scales {
    // SAFETY: As of `super::formats::Format`.
    unsafe {
        let integers = matrix.at(planes[0], (group * matrix.blocks + block) * 8).cast::<[[u8; 2]; GROUP]>().read();
        let [d, least] = super_pairs::<I>(matrix, planes[1], group, block);
        let mut scales = UNSCALED;
        for row in 0..GROUP {
            scales.scale[row] = d[row] * f32::from(integers[row][0]);
            scales.least[row] = -(least[row] * f32::from(integers[row][1]));
        }
        scales
    }
}

/// Each row's lanes of vectors whose fours are the rows of blocks.
#[inline(always)]
unsafe fn by_row<I: Isa>(all: I::F) -> [I::F; GROUP] {
    // SAFETY: As of `super::formats::Format`.
    unsafe {
        [I::lane_of_four::<0>(all), I::lane_of_four::<1>(all), I::lane_of_four::<2>(all), I::lane_of_four::<3>(all)]
    }
}

/// [`super::formats::Format::wide_scales`] of a plane of 16-bit scales.
#[inline(always)]
pub(super) unsafe fn wide_plain<I: Isa>(
    matrix: &Matrix<'_>,
    plane: usize,
    group: usize,
    block: usize,
    zero: f32,
) -> [[I::F; GROUP]; 2] {
    // SAFETY: As of `super::formats::Format`.
    unsafe {
        let scales = I::load_halves(matrix.at(plane, (group * matrix.blocks + block) * 8).cast());
        [by_row::<I>(scales), by_row::<I>(I::mul(scales, I::splat(-zero)))]
    }
}

/// [`super::formats::Format::wide_scales`] of integer scales and minima.
#[inline(always)]
pub(super) unsafe fn wide_super<I: Isa>(
    matrix: &Matrix<'_>,
    planes: [usize; 2],
    group: usize,
    block: usize,
) -> [[I::F; GROUP]; 2] {
    // SAFETY: As of `super::formats::Format`; super-blocks have whole windows.
    unsafe {
        let [scales, minima] = I::byte_pairs(matrix.at(planes[0], (group * matrix.blocks + block) * 8));
        let unit = group * matrix.blocks.div_ceil(SUPER) + block / SUPER;
        let (d, least) = pairs::<I>(matrix.at(planes[1], unit * 16));
        let (d, least) = (d.map(|d| d * SUPER_UNIT), least.map(|least| -least * SUPER_UNIT));
        [by_row::<I>(I::mul(scales, I::repeat(d))), by_row::<I>(I::mul(minima, I::repeat(least)))]
    }
}

/// The scales of one half of blocks: signed integers times their own scale. Nothing is added to numbers.
#[inline(always)]
pub(super) unsafe fn wide_signed<I: Isa>(
    matrix: &Matrix<'_>,
    planes: [usize; 2],
    group: usize,
    block: usize,
    half: usize,
) -> [[I::F; GROUP]; 2] {
    // SAFETY: As of `super::formats::Format`; super-blocks have whole windows.
    unsafe {
        let bytes = I::byte_pairs(matrix.at(planes[0], (group * matrix.blocks + block) * 8))[half];
        let is_negative = I::min(I::max(I::sub(bytes, I::splat(127.0)), I::splat(0.0)), I::splat(1.0));
        let signed = I::fma(is_negative, I::splat(-256.0), bytes);
        let d = super_scale::<I>(matrix, planes[1], group, block);
        [by_row::<I>(I::mul(signed, I::repeat(d))), [I::splat(0.0); GROUP]]
    }
}
