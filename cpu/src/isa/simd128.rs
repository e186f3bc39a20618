//! WebAssembly's vectors of 128 bits.

use core::arch::wasm32::*;

use super::{Bytes, Isa, entries, with_kernels};
use crate::kernels::matmul::Sums;

/// Vectors of 128 bits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Simd128;

// SAFETY of all functions: they are called within the entries of this set, by callers that vouch for the memory.
#[expect(clippy::undocumented_unsafe_blocks, reason = "one reason for all, above")]
impl Isa for Simd128 {
    const FORMATS: &'static [super::OfFormat; 16] = &FORMATS;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::F {
        f32x4_splat(x)
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self::F {
        unsafe { v128_load(from.cast()) }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, x: Self::F) {
        unsafe { v128_store(to.cast(), x) }
    }

    #[inline(always)]
    unsafe fn add(a: Self::F, b: Self::F) -> Self::F {
        f32x4_add(a, b)
    }

    #[inline(always)]
    unsafe fn sub(a: Self::F, b: Self::F) -> Self::F {
        f32x4_sub(a, b)
    }

    #[inline(always)]
    unsafe fn mul(a: Self::F, b: Self::F) -> Self::F {
        f32x4_mul(a, b)
    }

    #[inline(always)]
    unsafe fn div(a: Self::F, b: Self::F) -> Self::F {
        f32x4_div(a, b)
    }

    #[inline(always)]
    unsafe fn max(a: Self::F, b: Self::F) -> Self::F {
        f32x4_pmax(a, b)
    }

    #[inline(always)]
    unsafe fn min(a: Self::F, b: Self::F) -> Self::F {
        f32x4_pmin(a, b)
    }

    #[inline(always)]
    unsafe fn fma(a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        #[cfg(target_feature = "relaxed-simd")]
        let sum = f32x4_relaxed_madd(a, b, c);
        #[cfg(not(target_feature = "relaxed-simd"))]
        let sum = f32x4_add(f32x4_mul(a, b), c);
        sum
    }

    #[inline(always)]
    unsafe fn sum(x: Self::F) -> f32 {
        let two = f32x4_add(x, i32x4_shuffle::<2, 3, 2, 3>(x, x));
        f32x4_extract_lane::<0>(two) + f32x4_extract_lane::<1>(two)
    }

    #[inline(always)]
    unsafe fn four_sums([a, b, c, d]: [Self::F; 4]) -> [f32; 4] {
        // Lanes 0 + 2, then lanes 1 + 3, of two vectors in turns.
        let first = f32x4_add(i32x4_shuffle::<0, 4, 1, 5>(a, b), i32x4_shuffle::<2, 6, 3, 7>(a, b));
        let second = f32x4_add(i32x4_shuffle::<0, 4, 1, 5>(c, d), i32x4_shuffle::<2, 6, 3, 7>(c, d));
        let even = i32x4_shuffle::<0, 1, 4, 5>(first, second);
        let odd = i32x4_shuffle::<2, 3, 6, 7>(first, second);
        let mut sums = [0.0; 4];
        unsafe { v128_store(sums.as_mut_ptr().cast(), f32x4_add(even, odd)) };
        sums
    }

    #[inline(always)]
    unsafe fn largest(x: Self::F) -> f32 {
        let two = f32x4_max(x, i32x4_shuffle::<2, 3, 2, 3>(x, x));
        f32x4_extract_lane::<0>(two).max(f32x4_extract_lane::<1>(two))
    }

    #[inline(always)]
    unsafe fn round(x: Self::F) -> Self::F {
        f32x4_nearest(x)
    }

    #[inline(always)]
    unsafe fn exp2(x: Self::F) -> Self::F {
        i32x4_shl(i32x4_add(i32x4_trunc_sat_f32x4(x), i32x4_splat(127)), 23)
    }

    #[inline(always)]
    unsafe fn load_halves(from: *const u16) -> Self::F {
        unsafe {
            // The exponent is moved into place and corrected by a product, which also makes subnormal numbers right; only infinity and NaN
            // need another exponent.
            let bits = v128_load64_zero(from.cast());
            let wide = u32x4_extend_low_u16x8(bits);
            let sign = i32x4_shl(v128_and(wide, i32x4_splat(0x8000)), 16);
            let rest = i32x4_shl(v128_and(wide, i32x4_splat(0x7fff)), 13);
            let scaled = f32x4_mul(rest, f32x4_splat(f32::from_bits((254 - 15) << 23)));
            let is_special = i32x4_ge(rest, i32x4_splat(0x0f80_0000));
            let special = v128_or(rest, i32x4_splat(0x7f80_0000));
            v128_or(sign, v128_bitselect(special, scaled, is_special))
        }
    }

    #[inline(always)]
    unsafe fn four_halves(from: *const u16) -> [f32; 4] {
        unsafe { core::mem::transmute(Self::load_halves(from)) }
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
        [unsafe { Self::splat(0.0) }; 8]
    }

    #[inline(always)]
    unsafe fn lane_of_four<const INDEX: i32>(x: Self::F) -> Self::F {
        match INDEX {
            0 => i32x4_shuffle::<0, 0, 0, 0>(x, x),
            1 => i32x4_shuffle::<1, 1, 1, 1>(x, x),
            2 => i32x4_shuffle::<2, 2, 2, 2>(x, x),
            _ => i32x4_shuffle::<3, 3, 3, 3>(x, x),
        }
    }

    #[inline(always)]
    unsafe fn widen(bytes: [u32; 8]) -> Self::Block {
        let [low, high]: [v128; 2] = unsafe { core::mem::transmute(bytes) };
        let [a, b] = [u16x8_extend_low_u8x16(low), u16x8_extend_high_u8x16(low)];
        let [c, d] = [u16x8_extend_low_u8x16(high), u16x8_extend_high_u8x16(high)];
        [
            f32x4_convert_u32x4(u32x4_extend_low_u16x8(a)),
            f32x4_convert_u32x4(u32x4_extend_high_u16x8(a)),
            f32x4_convert_u32x4(u32x4_extend_low_u16x8(b)),
            f32x4_convert_u32x4(u32x4_extend_high_u16x8(b)),
            f32x4_convert_u32x4(u32x4_extend_low_u16x8(c)),
            f32x4_convert_u32x4(u32x4_extend_high_u16x8(c)),
            f32x4_convert_u32x4(u32x4_extend_low_u16x8(d)),
            f32x4_convert_u32x4(u32x4_extend_high_u16x8(d)),
        ]
    }

    #[inline(always)]
    unsafe fn bytes(from: *const i8) -> Self::Block {
        let [low, high]: [v128; 2] = unsafe { [v128_load(from.cast()), v128_load(from.add(16).cast())] };
        let [a, b] = [i16x8_extend_low_i8x16(low), i16x8_extend_high_i8x16(low)];
        let [c, d] = [i16x8_extend_low_i8x16(high), i16x8_extend_high_i8x16(high)];
        [
            f32x4_convert_i32x4(i32x4_extend_low_i16x8(a)),
            f32x4_convert_i32x4(i32x4_extend_high_i16x8(a)),
            f32x4_convert_i32x4(i32x4_extend_low_i16x8(b)),
            f32x4_convert_i32x4(i32x4_extend_high_i16x8(b)),
            f32x4_convert_i32x4(i32x4_extend_low_i16x8(c)),
            f32x4_convert_i32x4(i32x4_extend_high_i16x8(c)),
            f32x4_convert_i32x4(i32x4_extend_low_i16x8(d)),
            f32x4_convert_i32x4(i32x4_extend_high_i16x8(d)),
        ]
    }
}

/// Masked words as floats.
#[inline(always)]
fn masked(words: v128, mask: i32) -> v128 {
    f32x4_convert_i32x4(v128_and(words, i32x4_splat(mask)))
}

// SAFETY of all functions: they are called within the entries of this set, by callers that vouch for the memory.
#[expect(clippy::undocumented_unsafe_blocks, reason = "one reason for all, above")]
impl Bytes for Simd128 {
    type F = v128;
    const LANES: usize = 4;
    type B = v128;
    const HAS_MANY_REGISTERS: bool = false;
    const HAS_DOTS: bool = cfg!(target_feature = "relaxed-simd");
    const HAS_ODD_DOTS: bool = false;

    #[inline(always)]
    unsafe fn load_bytes(from: *const u8) -> Self::B {
        unsafe { v128_load(from.cast()) }
    }

    #[inline(always)]
    unsafe fn store_bytes(to: *mut u8, bytes: Self::B) {
        unsafe { v128_store(to.cast(), bytes) }
    }

    #[inline(always)]
    unsafe fn splat_bytes(from: *const u8) -> Self::B {
        unsafe { v128_load32_splat(from.cast()) }
    }

    #[inline(always)]
    unsafe fn or(a: Self::B, b: Self::B) -> Self::B {
        v128_or(a, b)
    }

    #[inline(always)]
    unsafe fn split(nibbles: Self::B) -> [Self::B; 2] {
        [v128_and(nibbles, u8x16_splat(15)), u8x16_shr(nibbles, 4)]
    }

    #[inline(always)]
    unsafe fn select(table: &[i8; 16], quants: Self::B) -> Self::B {
        unsafe { u8x16_swizzle(v128_load(table.as_ptr().cast()), quants) }
    }

    #[inline(always)]
    unsafe fn nibble<const N: u32>(words: Self::B) -> Self::F {
        masked(if N < 4 { words } else { u32x4_shr(words, 16) }, 15 << (4 * (N % 4)))
    }

    #[inline(always)]
    unsafe fn whole_bytes(from: *const u8) -> [Self::B; 2] {
        unsafe { [v128_load(from.cast()), v128_load(from.add(16).cast())] }
    }

    #[inline(always)]
    unsafe fn dots<const BITS: u32, const N: usize>(
        sums: Self::B,
        weights: [Self::B; N],
        inputs: [Self::B; N],
    ) -> Self::B {
        // Weights of seven bits have an instruction of their own.
        #[cfg(target_feature = "relaxed-simd")]
        if BITS < 8 {
            let mut sums = sums;
            for i in 0..N {
                sums = i32x4_relaxed_dot_i8x16_i7x16_add(inputs[i], weights[i], sums);
            }
            return sums;
        }
        // Sums of two products, of the lower and of the upper halves of the bytes.
        let (mut low, mut high) = (i32x4_splat(0), i32x4_splat(0));
        for i in 0..N {
            let [w, x] = [weights[i], inputs[i]];
            low = i32x4_add(low, i32x4_dot_i16x8(i16x8_extend_low_i8x16(w), i16x8_extend_low_i8x16(x)));
            high = i32x4_add(high, i32x4_dot_i16x8(i16x8_extend_high_i8x16(w), i16x8_extend_high_i8x16(x)));
        }
        let (even, odd) = (i32x4_shuffle::<0, 2, 4, 6>(low, high), i32x4_shuffle::<1, 3, 5, 7>(low, high));
        i32x4_add(sums, i32x4_add(even, odd))
    }

    #[inline(always)]
    unsafe fn plus(a: Self::B, b: Self::B) -> Self::B {
        i32x4_add(a, b)
    }

    #[inline(always)]
    unsafe fn times_256(integers: Self::B) -> Self::B {
        i32x4_shl(integers, 8)
    }

    #[inline(always)]
    unsafe fn negated(integers: Self::B) -> Self::B {
        i32x4_neg(integers)
    }

    #[inline(always)]
    unsafe fn to_floats(integers: Self::B) -> Self::F {
        f32x4_convert_i32x4(integers)
    }

    #[inline(always)]
    unsafe fn to_integers(floats: Self::F) -> Self::B {
        i32x4_trunc_sat_f32x4(f32x4_nearest(floats))
    }

    #[inline(always)]
    unsafe fn transpose(rows: &mut [Self::B]) {
        let low = [i32x4_shuffle::<0, 4, 1, 5>(rows[0], rows[1]), i32x4_shuffle::<0, 4, 1, 5>(rows[2], rows[3])];
        let high = [i32x4_shuffle::<2, 6, 3, 7>(rows[0], rows[1]), i32x4_shuffle::<2, 6, 3, 7>(rows[2], rows[3])];
        rows[0] = i64x2_shuffle::<0, 2>(low[0], low[1]);
        rows[1] = i64x2_shuffle::<1, 3>(low[0], low[1]);
        rows[2] = i64x2_shuffle::<0, 2>(high[0], high[1]);
        rows[3] = i64x2_shuffle::<1, 3>(high[0], high[1]);
    }

    #[inline(always)]
    unsafe fn byte_pairs(from: *const u8) -> [Self::F; 2] {
        let pairs = u32x4_extend_low_u16x8(unsafe { v128_load64_zero(from.cast()) });
        [masked(pairs, 255), f32x4_convert_i32x4(u32x4_shr(pairs, 8))]
    }

    #[inline(always)]
    unsafe fn repeat(four: [f32; 4]) -> Self::F {
        unsafe { v128_load(four.as_ptr().cast()) }
    }
}

with_kernels!(entries!(Simd128, [target_feature(enable = "simd128")],));
