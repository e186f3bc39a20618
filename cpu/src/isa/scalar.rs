//! Portable instructions, on vectors of four floats.

use super::{Bytes, Isa, entries, with_kernels};
use crate::kernels::matmul::Sums;

/// Portable instructions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scalar;

#[inline(always)]
fn each(a: [f32; 4], b: [f32; 4], op: impl Fn(f32, f32) -> f32) -> [f32; 4] {
    [op(a[0], b[0]), op(a[1], b[1]), op(a[2], b[2]), op(a[3], b[3])]
}

impl Isa for Scalar {
    const FORMATS: &'static [super::OfFormat; 16] = &FORMATS;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::F {
        [x; 4]
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self::F {
        // SAFETY: The caller has four floats there.
        unsafe { from.cast::<[f32; 4]>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, x: Self::F) {
        // SAFETY: The caller has room for four floats there.
        unsafe { to.cast::<[f32; 4]>().write_unaligned(x) }
    }

    #[inline(always)]
    unsafe fn add(a: Self::F, b: Self::F) -> Self::F {
        each(a, b, |a, b| a + b)
    }

    #[inline(always)]
    unsafe fn sub(a: Self::F, b: Self::F) -> Self::F {
        each(a, b, |a, b| a - b)
    }

    #[inline(always)]
    unsafe fn mul(a: Self::F, b: Self::F) -> Self::F {
        each(a, b, |a, b| a * b)
    }

    #[inline(always)]
    unsafe fn div(a: Self::F, b: Self::F) -> Self::F {
        each(a, b, |a, b| a / b)
    }

    #[inline(always)]
    unsafe fn max(a: Self::F, b: Self::F) -> Self::F {
        each(a, b, f32::max)
    }

    #[inline(always)]
    unsafe fn min(a: Self::F, b: Self::F) -> Self::F {
        each(a, b, f32::min)
    }

    #[inline(always)]
    unsafe fn fma(a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        each(each(a, b, |a, b| a * b), c, |ab, c| ab + c)
    }

    #[inline(always)]
    unsafe fn sum([a, b, c, d]: Self::F) -> f32 {
        (a + c) + (b + d)
    }

    #[inline(always)]
    unsafe fn round(x: Self::F) -> Self::F {
        x.map(libm::rintf)
    }

    #[inline(always)]
    unsafe fn exp2(x: Self::F) -> Self::F {
        x.map(|x| f32::from_bits(((x as i32 + 127) as u32) << 23))
    }

    #[inline(always)]
    unsafe fn load_halves(from: *const u16) -> Self::F {
        // SAFETY: The caller has four 16-bit floats there.
        unsafe { Self::four_halves(from) }
    }

    #[inline(always)]
    unsafe fn four_halves(from: *const u16) -> [f32; 4] {
        // SAFETY: The caller has four 16-bit floats there.
        unsafe { from.cast::<[u16; 4]>().read_unaligned() }.map(|bits| half::f16::from_bits(bits).to_f32_const())
    }

    const TILE: usize = 2;

    #[inline(always)]
    unsafe fn tile(x: *const f32, k: usize, panel: *const f32, len: usize, sums: &mut [Sums]) {
        // SAFETY: As of the trait.
        unsafe { crate::kernels::matmul::tile::<Self, 2, 1>(x, k, panel, len, sums) }
    }

    type Block = [Self::F; 8];

    #[inline(always)]
    unsafe fn zeros() -> Self::Block {
        [[0.0; 4]; 8]
    }

    #[inline(always)]
    unsafe fn lane_of_four<const INDEX: i32>(x: Self::F) -> Self::F {
        [x[INDEX as usize]; 4]
    }

    #[inline(always)]
    unsafe fn widen(bytes: [u32; 8]) -> Self::Block {
        bytes.map(|word| word.to_le_bytes().map(f32::from))
    }

    #[inline(always)]
    unsafe fn bytes(from: *const i8) -> Self::Block {
        // SAFETY: The caller has 32 bytes there.
        unsafe { from.cast::<[[i8; 4]; 8]>().read_unaligned() }.map(|four| four.map(f32::from))
    }
}

// SAFETY of all functions: callers vouch for the memory.
#[expect(clippy::undocumented_unsafe_blocks, reason = "one reason for all, above")]
impl Bytes for Scalar {
    type F = [f32; 4];
    const LANES: usize = 4;
    type B = [[u8; 4]; 4];
    const HAS_MANY_REGISTERS: bool = false;

    #[inline(always)]
    unsafe fn load_bytes(from: *const u8) -> Self::B {
        unsafe { from.cast::<Self::B>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn store_bytes(to: *mut u8, bytes: Self::B) {
        unsafe { to.cast::<Self::B>().write_unaligned(bytes) }
    }

    #[inline(always)]
    unsafe fn splat_bytes(from: *const u8) -> Self::B {
        [unsafe { from.cast::<[u8; 4]>().read() }; 4]
    }

    #[inline(always)]
    unsafe fn or(a: Self::B, b: Self::B) -> Self::B {
        let mut either = a;
        for lane in 0..4 {
            for i in 0..4 {
                either[lane][i] |= b[lane][i];
            }
        }
        either
    }

    #[inline(always)]
    unsafe fn split(nibbles: Self::B) -> [Self::B; 2] {
        [nibbles.map(|lane| lane.map(|byte| byte & 15)), nibbles.map(|lane| lane.map(|byte| byte >> 4))]
    }

    #[inline(always)]
    unsafe fn select(table: &[i8; 16], quants: Self::B) -> Self::B {
        quants.map(|lane| lane.map(|byte| table[usize::from(byte & 15)].cast_unsigned()))
    }

    #[inline(always)]
    unsafe fn nibble<const N: u32>(words: Self::B) -> Self::F {
        words.map(|word| (u32::from_le_bytes(word) >> (16 * (N / 4)) & 15 << (4 * (N % 4))) as f32)
    }

    #[inline(always)]
    unsafe fn whole_bytes(from: *const u8) -> [Self::B; 2] {
        unsafe { [Self::load_bytes(from), Self::load_bytes(from.add(16))] }
    }

    #[inline(always)]
    unsafe fn dots<const BITS: u32, const N: usize>(
        sums: Self::B,
        weights: [Self::B; N],
        inputs: [Self::B; N],
    ) -> Self::B {
        let mut sums = sums.map(i32::from_le_bytes);
        for n in 0..N {
            for lane in 0..4 {
                for i in 0..4 {
                    let weight = weights[n][lane][i];
                    let weight = if BITS < 8 { i32::from(weight) } else { i32::from(weight.cast_signed()) };
                    sums[lane] = sums[lane].wrapping_add(weight * i32::from(inputs[n][lane][i].cast_signed()));
                }
            }
        }
        sums.map(i32::to_le_bytes)
    }

    #[inline(always)]
    unsafe fn plus(a: Self::B, b: Self::B) -> Self::B {
        let sum = |lane: usize| i32::from_le_bytes(a[lane]).wrapping_add(i32::from_le_bytes(b[lane]));
        [sum(0), sum(1), sum(2), sum(3)].map(i32::to_le_bytes)
    }

    #[inline(always)]
    unsafe fn times_256(integers: Self::B) -> Self::B {
        integers.map(|bytes| (i32::from_le_bytes(bytes) << 8).to_le_bytes())
    }

    #[inline(always)]
    unsafe fn negated(integers: Self::B) -> Self::B {
        integers.map(|bytes| i32::from_le_bytes(bytes).wrapping_neg().to_le_bytes())
    }

    #[inline(always)]
    unsafe fn to_floats(integers: Self::B) -> Self::F {
        integers.map(|bytes| i32::from_le_bytes(bytes) as f32)
    }

    #[inline(always)]
    unsafe fn to_integers(floats: Self::F) -> Self::B {
        floats.map(|x| (libm::rintf(x) as i32).to_le_bytes())
    }

    #[inline(always)]
    unsafe fn transpose(rows: &mut [Self::B]) {
        for a in 0..4 {
            for b in 0..a {
                (rows[a][b], rows[b][a]) = (rows[b][a], rows[a][b]);
            }
        }
    }

    #[inline(always)]
    unsafe fn byte_pairs(from: *const u8) -> [Self::F; 2] {
        let pairs = unsafe { from.cast::<[[u8; 2]; 4]>().read() };
        [pairs.map(|pair| pair[0].into()), pairs.map(|pair| pair[1].into())]
    }

    #[inline(always)]
    unsafe fn repeat(four: [f32; 4]) -> Self::F {
        four
    }
}

with_kernels!(entries!(Scalar, [inline(never)],));
