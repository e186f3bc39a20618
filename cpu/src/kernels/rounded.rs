//! Inputs as integers with a scale to each block: of 8 bits, as `ocelli::reference::rounded` has them, or of 24 bits in three digits, which are
//! as exact as floats: they differ from the inputs by at most 2^-23 of the block's largest one, and their products are summed without rounding.

use super::formats::Format;
use super::matrix::BLOCK;
use crate::isa::Isa;

/// Smaller numbers have no reciprocal.
const LEAST: f32 = f32::from_bits(0x0380_0000); // 2^-120
/// Digits of integers that are as exact as floats.
pub(super) const EXACT: usize = 3;

/// A block of inputs as integers.
pub(super) struct Digits<const D: usize> {
    /// Digits to the base 256, the most significant first, each from -128 to 127; a single one from -127.
    pub(super) digits: [[i8; BLOCK]; D],
    /// Value of one; NaN if an input is infinite or NaN.
    pub(super) scale: f32,
}

/// Rounds a block. Ties round to even.
///
/// # Safety
/// The instruction set is there.
#[inline(always)]
pub(super) unsafe fn block<I: Isa, const D: usize>(x: &[f32; BLOCK]) -> Digits<D> {
    let mut integers = [0_i32; BLOCK];
    // SAFETY: As of this function; a block is whole vectors.
    let scale = unsafe {
        let (mut peaks, mut faults, zero) = (I::splat(0.0), I::splat(0.0), I::splat(0.0));
        for at in (0..BLOCK).step_by(I::LANES) {
            let x = I::load(x.as_ptr().add(at));
            peaks = I::max(peaks, I::max(x, I::sub(zero, x)));
            faults = I::fma(x, zero, faults);
        }
        let peak = I::largest(peaks);
        let [inverse, scale] = if D == 1 { scale_of_8_bits(peak) } else { scale_of_24_bits(peak) };
        for at in (0..BLOCK).step_by(I::LANES) {
            let x = I::mul(I::load(x.as_ptr().add(at)), I::splat(inverse));
            I::store_bytes(integers.as_mut_ptr().add(at).cast(), I::to_integers(x));
        }
        scale + I::sum(faults)
    };
    let mut digits = [[0; BLOCK]; D];
    for (number, digits) in digits.iter_mut().enumerate().rev() {
        for (digit, integer) in digits.iter_mut().zip(&mut integers) {
            *digit = *integer as i8;
            if number > 0 {
                // Inputs that are not finite have any integer.
                *integer = integer.wrapping_add(128) >> 8;
            }
        }
    }
    Digits { digits, scale }
}

/// The factor of inputs and the value of one: `127 / peak`, as the shader `int8_input` computes it in integers.
fn scale_of_8_bits(peak: f32) -> [f32; 2] {
    let bits = peak.max(LEAST).to_bits();
    let quotient = (127 << 25) / (bits & 0x007f_ffff | 0x0080_0000);
    // Numbers that are not finite have any factor.
    let inverse = f32::from_bits((quotient as f32).to_bits().wrapping_add(125 << 23).wrapping_sub(bits >> 23 << 23));
    [inverse, if peak < LEAST { 0.0 } else { 1.0 / inverse }]
}

/// The same as powers of two, so that the largest input becomes at most 127/128 of 2^23: its first digit is at most 127.
fn scale_of_24_bits(peak: f32) -> [f32; 2] {
    // Biased exponents; those of both factors stay within the normal numbers.
    let exponent = ((peak.abs().to_bits() + (1 << 17)) >> 23).clamp(23, 254);
    [f32::from_bits((276 - exponent) << 23), f32::from_bits((exponent - 22) << 23)]
}

/// Writes rows of `k` inputs as they are after rounding to 8 bits.
///
/// # Safety
/// The instruction set is there.
#[inline(always)]
pub(super) unsafe fn rows<I: Isa>(x: &[f32], k: usize, to: &mut [f32]) {
    let rows = x.chunks_exact(k.max(1)).zip(to.chunks_exact_mut(k.max(1)));
    for (x, to) in rows.flat_map(|(x, to)| x.chunks(BLOCK).zip(to.chunks_mut(BLOCK))) {
        let mut whole = [0.0; BLOCK];
        whole[..x.len()].copy_from_slice(x);
        // SAFETY: As of this function.
        let Digits { digits: [digits], scale } = unsafe { block::<I, 1>(&whole) };
        to.iter_mut().zip(digits).for_each(|(to, digit)| *to = scale * f32::from(digit));
    }
}

/// Rounded inputs are multiplied as bytes with weights of so many bits, 0 for floats.
pub(super) const fn has_dots<I: Isa>(bits: u32) -> bool {
    I::HAS_DOTS && bits > 0 && (I::HAS_ODD_DOTS || bits == 4 || bits == 8)
}

/// Excess of bytes of weights over the numbers that they stand for: [`Format::ZERO`], or the number that the set adds to signed bytes.
pub(crate) const fn zero<I: Isa, L: Format>() -> u8 {
    if L::BITS == 8 { I::BYTE_ZERO } else { L::ZERO }
}

/// [`crate::isa::Bytes::dots`] with the bits of a layout.
///
/// # Safety
/// The instruction set is there.
#[inline(always)]
pub(super) unsafe fn dots<I: Isa, L: Format, const N: usize>(
    sums: I::B,
    weights: [I::B; N],
    inputs: [I::B; N],
) -> I::B {
    // SAFETY: As of this function.
    unsafe {
        match L::BITS {
            4 => I::dots::<4, N>(sums, weights, inputs),
            5 => I::dots::<5, N>(sums, weights, inputs),
            6 => I::dots::<6, N>(sums, weights, inputs),
            _ => I::dots::<8, N>(sums, weights, inputs),
        }
    }
}
