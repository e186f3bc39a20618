//! AVX2 with FMA and F16C.

use core::arch::x86_64::*;

use super::{Bytes, Isa, entries, with_kernels};
use crate::kernels::matmul::Sums;

/// AVX2 with FMA and F16C.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx2;

// SAFETY of all functions: they are called within the entries of this set, by callers that vouch for the memory.
#[expect(clippy::undocumented_unsafe_blocks, reason = "one reason for all, above")]
impl Isa for Avx2 {
    const FORMATS: &'static [super::OfFormat; 16] = &FORMATS;
    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::F {
        unsafe { _mm256_set1_ps(x) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self::F {
        unsafe { _mm256_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, x: Self::F) {
        unsafe { _mm256_storeu_ps(to, x) }
    }

    #[inline(always)]
    unsafe fn add(a: Self::F, b: Self::F) -> Self::F {
        unsafe { _mm256_add_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn sub(a: Self::F, b: Self::F) -> Self::F {
        unsafe { _mm256_sub_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn mul(a: Self::F, b: Self::F) -> Self::F {
        unsafe { _mm256_mul_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn div(a: Self::F, b: Self::F) -> Self::F {
        unsafe { _mm256_div_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn max(a: Self::F, b: Self::F) -> Self::F {
        unsafe { _mm256_max_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn min(a: Self::F, b: Self::F) -> Self::F {
        unsafe { _mm256_min_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn fma(a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    unsafe fn sum(x: Self::F) -> f32 {
        unsafe {
            let four = halved(x);
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
        }
    }

    #[inline(always)]
    unsafe fn four_sums([a, b, c, d]: [Self::F; 4]) -> [f32; 4] {
        unsafe {
            let (a, b, c, d) = (halved(a), halved(b), halved(c), halved(d));
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
            let four = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
            let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps::<1>(two, two)))
        }
    }

    #[inline(always)]
    unsafe fn round(x: Self::F) -> Self::F {
        unsafe { _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(x) }
    }

    #[inline(always)]
    unsafe fn exp2(x: Self::F) -> Self::F {
        unsafe {
            let biased = _mm256_add_epi32(_mm256_cvtps_epi32(x), _mm256_set1_epi32(127));
            _mm256_castsi256_ps(_mm256_slli_epi32::<23>(biased))
        }
    }

    #[inline(always)]
    unsafe fn load_halves(from: *const u16) -> Self::F {
        unsafe { _mm256_cvtph_ps(_mm_loadu_si128(from.cast())) }
    }

    #[inline(always)]
    unsafe fn four_halves(from: *const u16) -> [f32; 4] {
        unsafe { core::mem::transmute(_mm_cvtph_ps(_mm_loadl_epi64(from.cast()))) }
    }

    const TILE: usize = 3;

    #[inline(always)]
    unsafe fn tile(x: *const f32, k: usize, panel: *const f32, len: usize, sums: &mut [Sums]) {
        // SAFETY: As of the trait.
        unsafe { crate::kernels::matmul::tile::<Self, 3, 1>(x, k, panel, len, sums) }
    }

    type Block = [Self::F; 4];

    #[inline(always)]
    unsafe fn zeros() -> Self::Block {
        [unsafe { Self::splat(0.0) }; 4]
    }

    #[inline(always)]
    unsafe fn widen(bytes: [u32; 8]) -> Self::Block {
        unsafe { widened(core::mem::transmute::<[u32; 8], __m256i>(bytes)) }
    }

    #[inline(always)]
    unsafe fn bytes(from: *const i8) -> Self::Block {
        unsafe { [signed(from), signed(from.add(8)), signed(from.add(16)), signed(from.add(24))] }
    }

    #[inline(always)]
    unsafe fn lane_of_four<const INDEX: i32>(x: Self::F) -> Self::F {
        unsafe {
            match INDEX {
                0 => _mm256_shuffle_ps::<0x00>(x, x),
                1 => _mm256_shuffle_ps::<0x55>(x, x),
                2 => _mm256_shuffle_ps::<0xaa>(x, x),
                _ => _mm256_shuffle_ps::<0xff>(x, x),
            }
        }
    }

    #[inline(always)]
    unsafe fn nibbles(from: *const u8) -> Self::Block {
        unsafe { widened(nibbles(from)) }
    }

    #[inline(always)]
    unsafe fn codes(from: *const u8, table: &[i8; 16]) -> Self::Block {
        unsafe {
            let mut bytes = [0_i8; 32];
            _mm256_storeu_si256(bytes.as_mut_ptr().cast(), Self::select(table, nibbles(from)));
            Self::bytes(bytes.as_ptr())
        }
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
unsafe fn widened(bytes: __m256i) -> [__m256; 4] {
    // SAFETY: As above.
    unsafe {
        let (low, high) = (_mm256_castsi256_si128(bytes), _mm256_extracti128_si256::<1>(bytes));
        [unsigned(low), unsigned(_mm_srli_si128::<8>(low)), unsigned(high), unsigned(_mm_srli_si128::<8>(high))]
    }
}

/// Masked words as floats.
#[inline(always)]
unsafe fn masked(words: __m256i, mask: i32) -> __m256 {
    // SAFETY: As above.
    unsafe { _mm256_cvtepi32_ps(_mm256_and_si256(words, _mm256_set1_epi32(mask))) }
}

/// Eight unsigned bytes as floats.
#[inline(always)]
unsafe fn unsigned(eight: __m128i) -> __m256 {
    // SAFETY: As above.
    unsafe { _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(eight)) }
}

/// Eight signed bytes as floats.
#[inline(always)]
unsafe fn signed(from: *const i8) -> __m256 {
    // SAFETY: As above.
    unsafe { _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(from.cast()))) }
}

// SAFETY of all functions: they are called within the entries of this set, by callers that vouch for the memory.
#[expect(clippy::undocumented_unsafe_blocks, reason = "one reason for all, above")]
impl Bytes for Avx2 {
    type F = __m256;
    const LANES: usize = 8;
    type B = __m256i;
    const HAS_MANY_REGISTERS: bool = false;

    #[inline(always)]
    unsafe fn load_bytes(from: *const u8) -> Self::B {
        unsafe { _mm256_loadu_si256(from.cast()) }
    }

    #[inline(always)]
    unsafe fn store_bytes(to: *mut u8, bytes: Self::B) {
        unsafe { _mm256_storeu_si256(to.cast(), bytes) }
    }

    #[inline(always)]
    unsafe fn splat_bytes(from: *const u8) -> Self::B {
        unsafe { _mm256_set1_epi32(from.cast::<i32>().read_unaligned()) }
    }

    #[inline(always)]
    unsafe fn or(a: Self::B, b: Self::B) -> Self::B {
        unsafe { _mm256_or_si256(a, b) }
    }

    #[inline(always)]
    unsafe fn split(nibbles: Self::B) -> [Self::B; 2] {
        unsafe {
            let mask = _mm256_set1_epi8(15);
            [_mm256_and_si256(nibbles, mask), _mm256_and_si256(_mm256_srli_epi16::<4>(nibbles), mask)]
        }
    }

    #[inline(always)]
    unsafe fn select(table: &[i8; 16], quants: Self::B) -> Self::B {
        unsafe {
            let table = _mm256_broadcastsi128_si256(_mm_loadu_si128(table.as_ptr().cast()));
            _mm256_shuffle_epi8(table, quants)
        }
    }

    #[inline(always)]
    unsafe fn nibble<const N: u32>(words: Self::B) -> Self::F {
        unsafe {
            let words = if N < 4 { words } else { _mm256_srli_epi32::<16>(words) };
            masked(words, 15 << (4 * (N % 4)))
        }
    }

    #[inline(always)]
    unsafe fn whole_bytes(from: *const u8) -> [Self::B; 2] {
        unsafe {
            let [a, b] = [Self::load_bytes(from), Self::load_bytes(from.add(32))];
            [_mm256_permute2x128_si256::<0x20>(a, b), _mm256_permute2x128_si256::<0x31>(a, b)]
        }
    }

    #[inline(always)]
    unsafe fn dots<const BITS: u32, const N: usize>(
        sums: Self::B,
        weights: [Self::B; N],
        inputs: [Self::B; N],
    ) -> Self::B {
        unsafe {
            // So many pairs of products fit 16 bits.
            let together = if BITS < 8 { 128 >> BITS } else { 1 };
            let (mut sums, ones) = (sums, _mm256_set1_epi16(1));
            let mut part = _mm256_setzero_si256();
            for i in 0..N {
                let pairs = if BITS < 8 {
                    _mm256_maddubs_epi16(weights[i], inputs[i])
                } else {
                    _mm256_maddubs_epi16(_mm256_abs_epi8(weights[i]), _mm256_sign_epi8(inputs[i], weights[i]))
                };
                part = if i % together == 0 { pairs } else { _mm256_add_epi16(part, pairs) };
                if (i + 1) % together == 0 || i + 1 == N {
                    sums = _mm256_add_epi32(sums, _mm256_madd_epi16(part, ones));
                }
            }
            sums
        }
    }

    #[inline(always)]
    unsafe fn plus(a: Self::B, b: Self::B) -> Self::B {
        unsafe { _mm256_add_epi32(a, b) }
    }

    #[inline(always)]
    unsafe fn times_256(integers: Self::B) -> Self::B {
        unsafe { _mm256_slli_epi32::<8>(integers) }
    }

    #[inline(always)]
    unsafe fn negated(integers: Self::B) -> Self::B {
        unsafe { _mm256_sub_epi32(_mm256_setzero_si256(), integers) }
    }

    #[inline(always)]
    unsafe fn to_floats(integers: Self::B) -> Self::F {
        unsafe { _mm256_cvtepi32_ps(integers) }
    }

    #[inline(always)]
    unsafe fn to_integers(floats: Self::F) -> Self::B {
        unsafe { _mm256_cvtps_epi32(floats) }
    }

    #[inline(always)]
    unsafe fn transpose(rows: &mut [Self::B]) {
        unsafe {
            let (mut pairs, mut fours) = ([_mm256_setzero_si256(); 8], [_mm256_setzero_si256(); 8]);
            for i in 0..4 {
                pairs[2 * i] = _mm256_unpacklo_epi32(rows[2 * i], rows[2 * i + 1]);
                pairs[2 * i + 1] = _mm256_unpackhi_epi32(rows[2 * i], rows[2 * i + 1]);
            }
            for i in 0..2 {
                for half in 0..2 {
                    let (a, b) = (pairs[4 * i + half], pairs[4 * i + 2 + half]);
                    fours[4 * i + 2 * half] = _mm256_unpacklo_epi64(a, b);
                    fours[4 * i + 2 * half + 1] = _mm256_unpackhi_epi64(a, b);
                }
            }
            for i in 0..4 {
                rows[i] = _mm256_permute2x128_si256::<0x20>(fours[i], fours[4 + i]);
                rows[4 + i] = _mm256_permute2x128_si256::<0x31>(fours[i], fours[4 + i]);
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
            let pairs = _mm256_cvtepu16_epi32(_mm_loadu_si128(from.cast()));
            let low = _mm256_and_si256(pairs, _mm256_set1_epi32(255));
            [_mm256_cvtepi32_ps(low), _mm256_cvtepi32_ps(_mm256_srli_epi32::<8>(pairs))]
        }
    }

    #[inline(always)]
    unsafe fn repeat(four: [f32; 4]) -> Self::F {
        unsafe { _mm256_broadcast_ps(&_mm_loadu_ps(four.as_ptr())) }
    }
}

with_kernels!(entries!(Avx2, [target_feature(enable = "avx2,fma,f16c")],));

/// The sum of the halves of a vector.
#[inline(always)]
unsafe fn halved(x: __m256) -> __m128 {
    // SAFETY: The caller has the instruction set.
    unsafe { _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x)) }
}
