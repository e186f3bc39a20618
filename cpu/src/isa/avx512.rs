//! AVX-512 (F, BW, VL, DQ, VNNI).

use core::arch::x86_64::*;

use super::{Bytes, Isa, entries, with_kernels};
use crate::kernels::matmul::Sums;

/// AVX-512 on vectors of 16 floats.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx512;

// SAFETY of all functions: they are called within the entries of this set, by callers that vouch for the memory.
#[expect(clippy::undocumented_unsafe_blocks, reason = "one reason for all, above")]
impl Isa for Avx512 {
    const FORMATS: &'static [super::OfFormat; 16] = &FORMATS;
    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::F {
        unsafe { _mm512_set1_ps(x) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self::F {
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, x: Self::F) {
        unsafe { _mm512_storeu_ps(to, x) }
    }

    #[inline(always)]
    unsafe fn add(a: Self::F, b: Self::F) -> Self::F {
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn sub(a: Self::F, b: Self::F) -> Self::F {
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn mul(a: Self::F, b: Self::F) -> Self::F {
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn div(a: Self::F, b: Self::F) -> Self::F {
        unsafe { _mm512_div_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn max(a: Self::F, b: Self::F) -> Self::F {
        unsafe { _mm512_max_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn min(a: Self::F, b: Self::F) -> Self::F {
        unsafe { _mm512_min_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn fma(a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    unsafe fn sum(x: Self::F) -> f32 {
        unsafe {
            let four = quartered(x);
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
        }
    }

    #[inline(always)]
    unsafe fn four_sums([a, b, c, d]: [Self::F; 4]) -> [f32; 4] {
        unsafe {
            let (a, b, c, d) = (quartered(a), quartered(b), quartered(c), quartered(d));
            // Lanes 0 + 2, then lanes 1 + 3, of two vectors in turns.
            let first = _mm_add_ps(_mm_unpacklo_ps(a, b), _mm_unpackhi_ps(a, b));
            let second = _mm_add_ps(_mm_unpacklo_ps(c, d), _mm_unpackhi_ps(c, d));
            let mut sums = [0.0; 4];
            let all = _mm_add_ps(_mm_movelh_ps(first, second), _mm_movehl_ps(second, first));
            _mm_storeu_ps(sums.as_mut_ptr(), all);
            sums
        }
    }

    #[inline(always)]
    unsafe fn largest(x: Self::F) -> f32 {
        unsafe {
            let eight = _mm256_max_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps::<1>(x));
            let four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
            let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps::<1>(two, two)))
        }
    }

    #[inline(always)]
    unsafe fn round(x: Self::F) -> Self::F {
        unsafe { _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(x) }
    }

    #[inline(always)]
    unsafe fn exp2(x: Self::F) -> Self::F {
        unsafe {
            let biased = _mm512_add_epi32(_mm512_cvtps_epi32(x), _mm512_set1_epi32(127));
            _mm512_castsi512_ps(_mm512_slli_epi32::<23>(biased))
        }
    }

    #[inline(always)]
    unsafe fn load_halves(from: *const u16) -> Self::F {
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.cast())) }
    }

    #[inline(always)]
    unsafe fn four_halves(from: *const u16) -> [f32; 4] {
        unsafe { core::mem::transmute(_mm_cvtph_ps(_mm_loadl_epi64(from.cast()))) }
    }

    const TILE: usize = 3;

    #[inline(always)]
    unsafe fn tile(x: *const f32, k: usize, panel: *const f32, len: usize, sums: &mut [Sums]) {
        // SAFETY: As of the trait.
        unsafe { crate::kernels::matmul::tile::<Self, 3, 2>(x, k, panel, len, sums) }
    }

    type Block = [Self::F; 2];

    #[inline(always)]
    unsafe fn zeros() -> Self::Block {
        [unsafe { Self::splat(0.0) }; 2]
    }

    #[inline(always)]
    unsafe fn lane_of_four<const INDEX: i32>(x: Self::F) -> Self::F {
        unsafe {
            match INDEX {
                0 => _mm512_permute_ps::<0x00>(x),
                1 => _mm512_permute_ps::<0x55>(x),
                2 => _mm512_permute_ps::<0xaa>(x),
                _ => _mm512_permute_ps::<0xff>(x),
            }
        }
    }

    #[inline(always)]
    unsafe fn widen(bytes: [u32; 8]) -> Self::Block {
        unsafe { widened(core::mem::transmute::<[u32; 8], __m256i>(bytes)) }
    }

    #[inline(always)]
    unsafe fn bytes(from: *const i8) -> Self::Block {
        unsafe {
            let (low, high) = (_mm_loadu_si128(from.cast()), _mm_loadu_si128(from.add(16).cast()));
            [_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(low)), _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(high))]
        }
    }

    #[inline(always)]
    unsafe fn nibbles(from: *const u8) -> Self::Block {
        unsafe { widened(nibbles(from)) }
    }

    #[inline(always)]
    unsafe fn five_bits(from: *const u8, high: *const u8) -> Self::Block {
        unsafe {
            let word = _mm256_set1_epi32(high.cast::<i32>().read_unaligned());
            let bits = _mm256_srlv_epi32(word, _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
            let bits = _mm256_and_si256(bits, _mm256_set1_epi8(1));
            widened(_mm256_or_si256(nibbles(from), _mm256_slli_epi32::<4>(bits)))
        }
    }

    #[inline(always)]
    unsafe fn six_bits(from: *const u8, high: *const u8) -> Self::Block {
        unsafe {
            let [low, high] = high.cast::<[i32; 2]>().read_unaligned();
            let words = _mm256_setr_epi32(low, low, low, low, high, high, high, high);
            let bits = _mm256_srlv_epi32(words, _mm256_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6));
            let bits = _mm256_and_si256(bits, _mm256_set1_epi8(3));
            widened(_mm256_or_si256(nibbles(from), _mm256_slli_epi32::<4>(bits)))
        }
    }
}

/// The nibbles of 16 bytes as bytes: the lower ones, then the upper ones.
#[inline(always)]
unsafe fn nibbles(from: *const u8) -> __m256i {
    // SAFETY: As above.
    unsafe {
        let both = _mm_loadu_si128(from.cast());
        let both = _mm256_set_m128i(_mm_srli_epi16::<4>(both), both);
        _mm256_and_si256(both, _mm256_set1_epi8(15))
    }
}

/// 32 unsigned bytes as floats.
#[inline(always)]
unsafe fn widened(bytes: __m256i) -> [__m512; 2] {
    // SAFETY: As above.
    unsafe {
        let (low, high) = (_mm256_castsi256_si128(bytes), _mm256_extracti128_si256::<1>(bytes));
        [_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(low)), _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(high))]
    }
}

/// The nibbles of words from bit `SHIFT` on, times `worth`.
#[inline(always)]
unsafe fn looked_up<const SHIFT: u32>(words: __m512i, worth: f32) -> __m512 {
    // SAFETY: As above.
    unsafe {
        let numbers =
            _mm512_setr_ps(0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0, 15.0);
        let table = _mm512_mul_ps(numbers, _mm512_set1_ps(worth));
        _mm512_permutexvar_ps(_mm512_srli_epi32::<SHIFT>(words), table)
    }
}

// SAFETY of all functions: they are called within the entries of this set, by callers that vouch for the memory.
#[expect(clippy::undocumented_unsafe_blocks, reason = "one reason for all, above")]
impl Bytes for Avx512 {
    type F = __m512;
    const LANES: usize = 16;
    type B = __m512i;
    const HAS_MANY_REGISTERS: bool = true;
    // `vpdpbusd` multiplies unsigned by signed bytes.
    const BYTE_ZERO: u8 = 128;
    const EXACT_FEW: bool = true;
    const EXACT_MANY: bool = true;

    #[inline(always)]
    unsafe fn load_bytes(from: *const u8) -> Self::B {
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn store_bytes(to: *mut u8, bytes: Self::B) {
        unsafe { _mm512_storeu_si512(to.cast(), bytes) }
    }

    #[inline(always)]
    unsafe fn splat_bytes(from: *const u8) -> Self::B {
        unsafe { _mm512_set1_epi32(from.cast::<i32>().read_unaligned()) }
    }

    #[inline(always)]
    unsafe fn or(a: Self::B, b: Self::B) -> Self::B {
        unsafe { _mm512_or_si512(a, b) }
    }

    #[inline(always)]
    unsafe fn split(nibbles: Self::B) -> [Self::B; 2] {
        unsafe {
            let mask = _mm512_set1_epi8(15);
            [_mm512_and_si512(nibbles, mask), _mm512_and_si512(_mm512_srli_epi16::<4>(nibbles), mask)]
        }
    }

    #[inline(always)]
    unsafe fn select(table: &[i8; 16], quants: Self::B) -> Self::B {
        unsafe {
            let table = _mm512_broadcast_i32x4(_mm_loadu_si128(table.as_ptr().cast()));
            _mm512_xor_si512(_mm512_shuffle_epi8(table, quants), _mm512_set1_epi8(-128))
        }
    }

    #[inline(always)]
    unsafe fn nibble<const N: u32>(words: Self::B) -> Self::F {
        unsafe {
            // A permutation reads only the lower four bits of an index.
            match N {
                0 => looked_up::<0>(words, 1.0),
                1 => looked_up::<4>(words, 16.0),
                2 => looked_up::<8>(words, 256.0),
                3 => looked_up::<12>(words, 4096.0),
                4 => looked_up::<16>(words, 1.0),
                5 => looked_up::<20>(words, 16.0),
                6 => looked_up::<24>(words, 256.0),
                _ => looked_up::<28>(words, 4096.0),
            }
        }
    }

    #[inline(always)]
    unsafe fn whole_bytes(from: *const u8) -> [Self::B; 2] {
        unsafe {
            let sign = _mm512_set1_epi8(-128);
            let [a, b] = [Self::load_bytes(from), Self::load_bytes(from.add(64))];
            let halves = [_mm512_shuffle_i64x2::<0b1000_1000>(a, b), _mm512_shuffle_i64x2::<0b1101_1101>(a, b)];
            [_mm512_xor_si512(halves[0], sign), _mm512_xor_si512(halves[1], sign)]
        }
    }

    #[inline(always)]
    unsafe fn dots<const BITS: u32, const N: usize>(
        sums: Self::B,
        weights: [Self::B; N],
        inputs: [Self::B; N],
    ) -> Self::B {
        unsafe {
            let mut sums = sums;
            for i in 0..N {
                sums = _mm512_dpbusd_epi32(sums, weights[i], inputs[i]);
            }
            sums
        }
    }

    #[inline(always)]
    unsafe fn plus(a: Self::B, b: Self::B) -> Self::B {
        unsafe { _mm512_add_epi32(a, b) }
    }

    #[inline(always)]
    unsafe fn times_256(integers: Self::B) -> Self::B {
        unsafe { _mm512_slli_epi32::<8>(integers) }
    }

    #[inline(always)]
    unsafe fn negated(integers: Self::B) -> Self::B {
        unsafe { _mm512_sub_epi32(_mm512_setzero_si512(), integers) }
    }

    #[inline(always)]
    unsafe fn to_floats(integers: Self::B) -> Self::F {
        unsafe { _mm512_cvtepi32_ps(integers) }
    }

    #[inline(always)]
    unsafe fn to_integers(floats: Self::F) -> Self::B {
        unsafe { _mm512_cvtps_epi32(floats) }
    }

    #[inline(always)]
    unsafe fn transpose(rows: &mut [Self::B]) {
        unsafe {
            let (mut pairs, mut fours) = ([_mm512_setzero_si512(); 16], [_mm512_setzero_si512(); 16]);
            for i in 0..8 {
                pairs[2 * i] = _mm512_unpacklo_epi32(rows[2 * i], rows[2 * i + 1]);
                pairs[2 * i + 1] = _mm512_unpackhi_epi32(rows[2 * i], rows[2 * i + 1]);
            }
            for i in 0..4 {
                for half in 0..2 {
                    let (a, b) = (pairs[4 * i + half], pairs[4 * i + 2 + half]);
                    fours[4 * i + 2 * half] = _mm512_unpacklo_epi64(a, b);
                    fours[4 * i + 2 * half + 1] = _mm512_unpackhi_epi64(a, b);
                }
            }
            for i in 0..4 {
                let [a, b] = [(fours[i], fours[4 + i]), (fours[8 + i], fours[12 + i])];
                let even = [_mm512_shuffle_i32x4::<0x88>(a.0, a.1), _mm512_shuffle_i32x4::<0x88>(b.0, b.1)];
                let odd = [_mm512_shuffle_i32x4::<0xdd>(a.0, a.1), _mm512_shuffle_i32x4::<0xdd>(b.0, b.1)];
                rows[i] = _mm512_shuffle_i32x4::<0x88>(even[0], even[1]);
                rows[4 + i] = _mm512_shuffle_i32x4::<0x88>(odd[0], odd[1]);
                rows[8 + i] = _mm512_shuffle_i32x4::<0xdd>(even[0], even[1]);
                rows[12 + i] = _mm512_shuffle_i32x4::<0xdd>(odd[0], odd[1]);
            }
        }
    }

    #[inline(always)]
    unsafe fn prefetch(from: *const u8) {
        unsafe { _mm_prefetch::<_MM_HINT_T0>(from.cast()) }
    }

    #[inline(always)]
    unsafe fn byte_pairs(from: *const u8) -> [Self::F; 2] {
        unsafe {
            let pairs = _mm512_cvtepu16_epi32(_mm256_loadu_si256(from.cast()));
            let low = _mm512_and_si512(pairs, _mm512_set1_epi32(255));
            [_mm512_cvtepi32_ps(low), _mm512_cvtepi32_ps(_mm512_srli_epi32::<8>(pairs))]
        }
    }

    #[inline(always)]
    unsafe fn repeat(four: [f32; 4]) -> Self::F {
        unsafe { _mm512_broadcast_f32x4(_mm_loadu_ps(four.as_ptr())) }
    }
}

with_kernels!(entries!(
    Avx512,
    [target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")],
));

/// The sum of the quarters of a vector: of its halves first.
#[inline(always)]
unsafe fn quartered(x: __m512) -> __m128 {
    // SAFETY: The caller has the instruction set.
    unsafe {
        let eight = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps::<1>(x));
        _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight))
    }
}
