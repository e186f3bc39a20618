//! The numbers of a block of 32 elements, with ggml's operations in ggml's order (`dequantize_row_*` in `ggml-quants.c`).

use half::f16;

use super::{BLOCK, ROW_GROUP, SUPER_BLOCK, codes};

/// Position of a block in a matrix.
#[derive(Debug, Clone, Copy)]
pub struct At {
    /// Row of the matrix.
    pub row: usize,
    /// Block in the row.
    pub block: usize,
    /// Blocks in a row.
    pub blocks: usize,
}

/// The numbers of a block in the planes of a matrix.
pub type Decode = fn(&[&[u8]], At) -> [f32; BLOCK];

impl At {
    /// Index of the block over all rows.
    fn index(self) -> usize {
        self.row * self.blocks + self.block
    }

    /// Index of an entry in a plane that interleaves four rows and has one entry for `width` blocks of a row.
    fn interleaved(self, width: usize) -> usize {
        let entries = self.blocks.div_ceil(width);
        (self.row / ROW_GROUP * entries + self.block / width) * ROW_GROUP + self.row % ROW_GROUP
    }
}

fn half(plane: &[u8], index: usize) -> f32 {
    f16::from_le_bytes([plane[2 * index], plane[2 * index + 1]]).to_f32()
}

fn nibble(quants: &[u8], at: At, e: usize) -> u8 {
    quants[at.index() * 16 + e % 16] >> (e / 16 * 4) & 15
}

/// Element `e` of 5 bits.
fn five_bits(planes: &[&[u8]], at: At, e: usize) -> f32 {
    let fifth = planes[1][at.index() * 4 + e % 4] >> (e / 4) & 1;
    f32::from(nibble(planes[0], at, e) | fifth << 4)
}

pub(super) fn f32(planes: &[&[u8]], at: At) -> [f32; BLOCK] {
    let numbers = planes[0][at.index() * 4 * BLOCK..].as_chunks::<4>().0;
    std::array::from_fn(|e| f32::from_le_bytes(numbers[e]))
}

pub(super) fn f16(planes: &[&[u8]], at: At) -> [f32; BLOCK] {
    std::array::from_fn(|e| half(planes[0], at.index() * BLOCK + e))
}

pub(super) fn q8_0(planes: &[&[u8]], at: At) -> [f32; BLOCK] {
    let d = half(planes[1], at.interleaved(1));
    std::array::from_fn(|e| d * f32::from(planes[0][at.index() * BLOCK + e].cast_signed()))
}

pub(super) fn q4_0(planes: &[&[u8]], at: At) -> [f32; BLOCK] {
    let d = half(planes[1], at.interleaved(1));
    std::array::from_fn(|e| d * (f32::from(nibble(planes[0], at, e)) - 8.0))
}

pub(super) fn q4_64(planes: &[&[u8]], at: At) -> [f32; BLOCK] {
    let d = half(planes[1], at.interleaved(2));
    std::array::from_fn(|e| d * (f32::from(nibble(planes[0], at, e)) - 8.0))
}

pub(super) fn q5_0(planes: &[&[u8]], at: At) -> [f32; BLOCK] {
    let d = half(planes[2], at.interleaved(1));
    std::array::from_fn(|e| d * (five_bits(planes, at, e) - 16.0))
}

pub(super) fn q5_1(planes: &[&[u8]], at: At) -> [f32; BLOCK] {
    let own = 2 * at.interleaved(1);
    let (d, min) = (half(planes[2], own), half(planes[2], own + 1));
    std::array::from_fn(|e| d * five_bits(planes, at, e) + min)
}

pub(super) fn iq4_nl(planes: &[&[u8]], at: At) -> [f32; BLOCK] {
    coded(planes[0], at, half(planes[1], at.interleaved(1)), &codes::IQ4)
}

pub(super) fn iq4_xs(planes: &[&[u8]], at: At) -> [f32; BLOCK] {
    let scale = f32::from(planes[1][at.interleaved(1)].cast_signed());
    coded(planes[0], at, half(planes[2], at.interleaved(SUPER_BLOCK / BLOCK)) * scale, &codes::IQ4)
}

pub(super) fn mxfp4(planes: &[&[u8]], at: At) -> [f32; BLOCK] {
    coded(planes[0], at, power_of_two(planes[1][at.interleaved(1)]), &codes::FP4)
}

/// `2^(exponent - 128)`.
fn power_of_two(exponent: u8) -> f32 {
    f32::from_bits(match exponent {
        0 | 1 => 0x0020_0000 << exponent, // subnormal
        _ => (u32::from(exponent) - 1) << 23,
    })
}

fn coded(quants: &[u8], at: At, scale: f32, codes: &[i8; 16]) -> [f32; BLOCK] {
    std::array::from_fn(|e| scale * f32::from(codes[usize::from(nibble(quants, at, e))]))
}

pub(super) fn q4_1(planes: &[&[u8]], at: At) -> [f32; BLOCK] {
    let own = 2 * at.interleaved(1);
    let (d, min) = (half(planes[1], own), half(planes[1], own + 1));
    std::array::from_fn(|e| d * f32::from(nibble(planes[0], at, e)) + min)
}

/// `d * scale` and `dmin * min`.
fn scale_and_min(scales: &[u8], super_scales: &[u8], at: At) -> (f32, f32) {
    let (own, of_super) = (at.interleaved(1), at.interleaved(SUPER_BLOCK / BLOCK));
    let (d, dmin) = (half(super_scales, 2 * of_super), half(super_scales, 2 * of_super + 1));
    (d * f32::from(scales[2 * own]), dmin * f32::from(scales[2 * own + 1]))
}

pub(super) fn q4_k(planes: &[&[u8]], at: At) -> [f32; BLOCK] {
    let (scale, min) = scale_and_min(planes[1], planes[2], at);
    std::array::from_fn(|e| scale * f32::from(nibble(planes[0], at, e)) - min)
}

pub(super) fn q5_k(planes: &[&[u8]], at: At) -> [f32; BLOCK] {
    let (scale, min) = scale_and_min(planes[2], planes[3], at);
    std::array::from_fn(|e| scale * five_bits(planes, at, e) - min)
}

/// `d * scale` of the halves of a block.
fn scales_of_halves(scales: &[u8], super_scales: &[u8], at: At) -> [f32; 2] {
    let d = half(super_scales, at.interleaved(SUPER_BLOCK / BLOCK));
    [0, 1].map(|side| d * f32::from(scales[2 * at.interleaved(1) + side].cast_signed()))
}

pub(super) fn q3_k(planes: &[&[u8]], at: At) -> [f32; BLOCK] {
    let scale = scales_of_halves(planes[1], planes[2], at);
    std::array::from_fn(|e| scale[e / 16] * (f32::from(nibble(planes[0], at, e)) - 4.0))
}

pub(super) fn q2_k(planes: &[&[u8]], at: At) -> [f32; BLOCK] {
    let of_super = 2 * at.interleaved(SUPER_BLOCK / BLOCK);
    let (d, dmin) = (half(planes[2], of_super), half(planes[2], of_super + 1));
    let halves = [0, 1].map(|side| {
        let both = planes[1][2 * at.interleaved(1) + side];
        (d * f32::from(both & 15), dmin * f32::from(both >> 4))
    });
    std::array::from_fn(|e| halves[e / 16].0 * f32::from(nibble(planes[0], at, e)) - halves[e / 16].1)
}

pub(super) fn q6_k(planes: &[&[u8]], at: At) -> [f32; BLOCK] {
    let scale = scales_of_halves(planes[2], planes[3], at);
    let upper = |e: usize| planes[1][at.index() * 8 + e / 16 * 4 + e % 4] >> (e % 16 / 4 * 2) & 3;
    std::array::from_fn(|e| scale[e / 16] * (f32::from(nibble(planes[0], at, e) | upper(e) << 4) - 32.0))
}
