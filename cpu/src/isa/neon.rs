//! NEON, with dot products of bytes where the machine has them.

use core::arch::aarch64::*;
use core::arch::asm;

use super::{Bytes, Isa};
use crate::kernels::matmul::Sums;

/// NEON, with the instruction `sdot` or without.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Neon<const HAS_DOT: bool>;

// SAFETY of all functions: they are called within the entries of this set, by callers that vouch for the memory.
#[expect(clippy::undocumented_unsafe_blocks, reason = "one reason for all, above")]
impl<const HAS_DOT: bool> Isa for Neon<HAS_DOT> {
    const FORMATS: &'static [super::OfFormat; 16] = if HAS_DOT { &with_dot::FORMATS } else { &plain::FORMATS };

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::F {
        unsafe { vdupq_n_f32(x) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self::F {
        unsafe { vld1q_f32(from) }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, x: Self::F) {
        unsafe { vst1q_f32(to, x) }
    }

    #[inline(always)]
    unsafe fn add(a: Self::F, b: Self::F) -> Self::F {
        unsafe { vaddq_f32(a, b) }
    }

    #[inline(always)]
    unsafe fn sub(a: Self::F, b: Self::F) -> Self::F {
        unsafe { vsubq_f32(a, b) }
    }

    #[inline(always)]
    unsafe fn mul(a: Self::F, b: Self::F) -> Self::F {
        unsafe { vmulq_f32(a, b) }
    }

    #[inline(always)]
    unsafe fn div(a: Self::F, b: Self::F) -> Self::F {
        unsafe { vdivq_f32(a, b) }
    }

    #[inline(always)]
    unsafe fn max(a: Self::F, b: Self::F) -> Self::F {
        unsafe { vmaxnmq_f32(a, b) }
    }

    #[inline(always)]
    unsafe fn min(a: Self::F, b: Self::F) -> Self::F {
        unsafe { vminnmq_f32(a, b) }
    }

    #[inline(always)]
    unsafe fn fma(a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        unsafe { vfmaq_f32(c, a, b) }
    }

    #[inline(always)]
    unsafe fn sum(x: Self::F) -> f32 {
        unsafe { vaddvq_f32(x) }
    }

    #[inline(always)]
    unsafe fn largest(x: Self::F) -> f32 {
        unsafe { vmaxnmvq_f32(x) }
    }

    #[inline(always)]
    unsafe fn round(x: Self::F) -> Self::F {
        unsafe { vrndnq_f32(x) }
    }

    #[inline(always)]
    unsafe fn exp2(x: Self::F) -> Self::F {
        unsafe { vreinterpretq_f32_s32(vshlq_n_s32::<23>(vaddq_s32(vcvtq_s32_f32(x), vdupq_n_s32(127)))) }
    }

    #[inline(always)]
    unsafe fn load_halves(from: *const u16) -> Self::F {
        unsafe {
            let halves = vld1_u16(from);
            let wide: float32x4_t;
            // Every 64-bit Arm has this conversion; the intrinsic is not stable.
            asm!("fcvtl {0:v}.4s, {1:v}.4h", out(vreg) wide, in(vreg) halves, options(pure, nomem, nostack));
            wide
        }
    }

    #[inline(always)]
    unsafe fn four_halves(from: *const u16) -> [f32; 4] {
        unsafe { core::mem::transmute(Self::load_halves(from)) }
    }

    const TILE: usize = 3;

    #[inline(always)]
    unsafe fn tile(x: *const f32, k: usize, panel: *const f32, len: usize, sums: &mut [Sums]) {
        // SAFETY: As of the trait.
        unsafe { crate::kernels::matmul::tile::<Self, 3, 2>(x, k, panel, len, sums) }
    }

    type Block = [Self::F; 8];

    #[inline(always)]
    unsafe fn zeros() -> Self::Block {
        [unsafe { Self::splat(0.0) }; 8]
    }

    #[inline(always)]
    unsafe fn lane_of_four<const INDEX: i32>(x: Self::F) -> Self::F {
        unsafe { vdupq_laneq_f32::<INDEX>(x) }
    }

    #[inline(always)]
    unsafe fn widen(bytes: [u32; 8]) -> Self::Block {
        unsafe {
            let [low, high]: [uint8x16_t; 2] = core::mem::transmute(bytes);
            let [a, b] = [vmovl_u8(vget_low_u8(low)), vmovl_high_u8(low)];
            let [c, d] = [vmovl_u8(vget_low_u8(high)), vmovl_high_u8(high)];
            [
                unsigned(a),
                unsigned_high(a),
                unsigned(b),
                unsigned_high(b),
                unsigned(c),
                unsigned_high(c),
                unsigned(d),
                unsigned_high(d),
            ]
        }
    }

    #[inline(always)]
    unsafe fn bytes(from: *const i8) -> Self::Block {
        unsafe {
            let [low, high] = [vld1q_s8(from), vld1q_s8(from.add(16))];
            let [a, b] = [vmovl_s8(vget_low_s8(low)), vmovl_high_s8(low)];
            let [c, d] = [vmovl_s8(vget_low_s8(high)), vmovl_high_s8(high)];
            [signed(a), signed_high(a), signed(b), signed_high(b), signed(c), signed_high(c), signed(d), signed_high(d)]
        }
    }
}

// SAFETY of all functions: they are called within the entries of this set, by callers that vouch for the memory.
#[expect(clippy::undocumented_unsafe_blocks, reason = "one reason for all, above")]
impl<const HAS_DOT: bool> Bytes for Neon<HAS_DOT> {
    type F = float32x4_t;
    const LANES: usize = 4;
    type B = uint8x16_t;
    const HAS_MANY_REGISTERS: bool = true;
    const EXACT_FEW: bool = HAS_DOT;
    const EXACT_MANY: bool = HAS_DOT;

    #[inline(always)]
    unsafe fn load_bytes(from: *const u8) -> Self::B {
        unsafe { vld1q_u8(from) }
    }

    #[inline(always)]
    unsafe fn store_bytes(to: *mut u8, bytes: Self::B) {
        unsafe { vst1q_u8(to, bytes) }
    }

    #[inline(always)]
    unsafe fn splat_bytes(from: *const u8) -> Self::B {
        unsafe { vreinterpretq_u8_u32(vdupq_n_u32(from.cast::<u32>().read_unaligned())) }
    }

    #[inline(always)]
    unsafe fn or(a: Self::B, b: Self::B) -> Self::B {
        unsafe { vorrq_u8(a, b) }
    }

    #[inline(always)]
    unsafe fn split(nibbles: Self::B) -> [Self::B; 2] {
        unsafe { [vandq_u8(nibbles, vdupq_n_u8(15)), vshrq_n_u8::<4>(nibbles)] }
    }

    #[inline(always)]
    unsafe fn select(table: &[i8; 16], quants: Self::B) -> Self::B {
        unsafe { vqtbl1q_u8(vld1q_u8(table.as_ptr().cast()), quants) }
    }

    #[inline(always)]
    unsafe fn nibble<const N: u32>(words: Self::B) -> Self::F {
        unsafe {
            let words = vreinterpretq_u32_u8(words);
            let words = if N < 4 { words } else { vshrq_n_u32::<16>(words) };
            vcvtq_f32_u32(vandq_u32(words, vdupq_n_u32(15 << (4 * (N % 4)))))
        }
    }

    #[inline(always)]
    unsafe fn whole_bytes(from: *const u8) -> [Self::B; 2] {
        unsafe { [vld1q_u8(from), vld1q_u8(from.add(16))] }
    }

    #[inline(always)]
    unsafe fn dots<const BITS: u32, const N: usize>(
        sums: Self::B,
        weights: [Self::B; N],
        inputs: [Self::B; N],
    ) -> Self::B {
        unsafe {
            let mut sums = vreinterpretq_s32_u8(sums);
            for i in 0..N {
                let (w, x) = (vreinterpretq_s8_u8(weights[i]), vreinterpretq_s8_u8(inputs[i]));
                if HAS_DOT {
                    // The intrinsic is not stable.
                    asm!("sdot {0:v}.4s, {1:v}.16b, {2:v}.16b", inout(vreg) sums, in(vreg) w, in(vreg) x,
                        options(pure, nomem, nostack));
                } else {
                    let low = vpaddlq_s16(vmull_s8(vget_low_s8(w), vget_low_s8(x)));
                    let high = vpaddlq_s16(vmull_high_s8(w, x));
                    sums = vaddq_s32(sums, vpaddq_s32(low, high));
                }
            }
            vreinterpretq_u8_s32(sums)
        }
    }

    #[inline(always)]
    unsafe fn plus(a: Self::B, b: Self::B) -> Self::B {
        unsafe { vreinterpretq_u8_s32(vaddq_s32(vreinterpretq_s32_u8(a), vreinterpretq_s32_u8(b))) }
    }

    #[inline(always)]
    unsafe fn times_256(integers: Self::B) -> Self::B {
        unsafe { vreinterpretq_u8_s32(vshlq_n_s32::<8>(vreinterpretq_s32_u8(integers))) }
    }

    #[inline(always)]
    unsafe fn negated(integers: Self::B) -> Self::B {
        unsafe { vreinterpretq_u8_s32(vnegq_s32(vreinterpretq_s32_u8(integers))) }
    }

    #[inline(always)]
    unsafe fn to_floats(integers: Self::B) -> Self::F {
        unsafe { vcvtq_f32_s32(vreinterpretq_s32_u8(integers)) }
    }

    #[inline(always)]
    unsafe fn to_integers(floats: Self::F) -> Self::B {
        unsafe { vreinterpretq_u8_s32(vcvtnq_s32_f32(floats)) }
    }

    #[inline(always)]
    unsafe fn transpose(rows: &mut [Self::B]) {
        unsafe {
            let words = |row: usize| vreinterpretq_u32_u8(rows[row]);
            let [a, b, c, d] = [words(0), words(1), words(2), words(3)];
            let [low, high] = [[vzip1q_u32(a, b), vzip1q_u32(c, d)], [vzip2q_u32(a, b), vzip2q_u32(c, d)]];
            for (half, [x, y]) in [low, high].into_iter().enumerate() {
                let [x, y] = [vreinterpretq_u64_u32(x), vreinterpretq_u64_u32(y)];
                rows[2 * half] = vreinterpretq_u8_u64(vzip1q_u64(x, y));
                rows[2 * half + 1] = vreinterpretq_u8_u64(vzip2q_u64(x, y));
            }
        }
    }

    #[inline(always)]
    unsafe fn byte_pairs(from: *const u8) -> [Self::F; 2] {
        unsafe {
            let pairs = vmovl_u16(vld1_u16(from.cast()));
            [vcvtq_f32_u32(vandq_u32(pairs, vdupq_n_u32(255))), vcvtq_f32_u32(vshrq_n_u32::<8>(pairs))]
        }
    }

    #[inline(always)]
    unsafe fn repeat(four: [f32; 4]) -> Self::F {
        unsafe { vld1q_f32(four.as_ptr()) }
    }
}

#[inline(always)]
unsafe fn unsigned(eight: uint16x8_t) -> float32x4_t {
    // SAFETY: As above.
    unsafe { vcvtq_f32_u32(vmovl_u16(vget_low_u16(eight))) }
}

#[inline(always)]
unsafe fn unsigned_high(eight: uint16x8_t) -> float32x4_t {
    // SAFETY: As above.
    unsafe { vcvtq_f32_u32(vmovl_high_u16(eight)) }
}

#[inline(always)]
unsafe fn signed(eight: int16x8_t) -> float32x4_t {
    // SAFETY: As above.
    unsafe { vcvtq_f32_s32(vmovl_s16(vget_low_s16(eight))) }
}

#[inline(always)]
unsafe fn signed_high(eight: int16x8_t) -> float32x4_t {
    // SAFETY: As above.
    unsafe { vcvtq_f32_s32(vmovl_high_s16(eight)) }
}

/// Entries with dot products.
pub(super) mod with_dot {
    use super::super::{entries, with_kernels};
    use super::Neon;

    with_kernels!(entries!(Neon<true>, [target_feature(enable = "neon,dotprod")],));
}

/// Entries for every 64-bit Arm.
pub(super) mod plain {
    use super::super::{entries, with_kernels};
    use super::Neon;

    with_kernels!(entries!(Neon<false>, [target_feature(enable = "neon")],));
}
