//! Inputs after the rounding of kernels with optional features.

use super::cache::{from_half, to_half};

/// Inputs that share a scale.
const BLOCK: usize = 32;
/// Smaller numbers have no reciprocal.
const LEAST: f32 = f32::from_bits(0x0380_0000); // 2^-120

/// Rows rounded to 8-bit integers with a scale to each block of 32: inputs are multiplied by `127 / peak`, truncated to eight or nine bits
/// (see [`inverse`]), and the scale is the reciprocal. Ties round to even. A block with an infinity or NaN becomes NaN.
///
/// `x`: `// [m, k]`
pub fn int8(k: usize, x: &[f32]) -> Vec<f32> {
    x.chunks_exact(k).flat_map(|row| row.chunks(BLOCK)).flat_map(block).collect()
}

/// Numbers rounded to 16-bit floats.
pub fn half(x: &[f32]) -> Vec<f32> {
    x.iter().map(|x| from_half(to_half(*x))).collect()
}

/// Rows rounded to 16-bit floats, after division of each half of a block of 32 by the power of two of its largest number.
///
/// `x`: `// [m, k]`
pub fn half_blocks(k: usize, x: &[f32]) -> Vec<f32> {
    x.chunks_exact(k).flat_map(|row| row.chunks(BLOCK / 2)).flat_map(half_block).collect()
}

fn half_block(x: &[f32]) -> Vec<f32> {
    let exponent = x.iter().fold(0x0080_0000, |most, x| most.max(x.to_bits() & 0x7f80_0000)).min(0x7e80_0000);
    let unit = f32::from_bits(exponent);
    x.iter().map(|x| from_half(to_half(x / unit)) * unit).collect()
}

fn block(x: &[f32]) -> Vec<f32> {
    if x.iter().any(|x| !x.is_finite()) {
        return vec![f32::NAN; x.len()];
    }
    let peak = x.iter().fold(0.0f32, |peak, x| peak.max(x.abs()));
    if peak < LEAST {
        return vec![0.0; x.len()];
    }
    let inverse = inverse(peak);
    let scale = 1.0 / inverse;
    x.iter().map(|x| scale * (x * inverse).round_ties_even()).collect()
}

/// `127 / peak`, truncated: the quotient of 127 x 2^25 and the peak's 24 bits as integers, which every device computes alike. Quotients of
/// floats differ in their last bit, and then inputs that are halfway between two integers are rounded in different directions.
fn inverse(peak: f32) -> f32 {
    let bits = peak.to_bits();
    let (mantissa, exponent) = (bits & 0x007f_ffff | 0x0080_0000, bits >> 23);
    let quotient = (127_u32 << 25) / mantissa; // 254 ..= 508
    f32::from_bits((quotient as f32).to_bits() + (125 << 23) - (exponent << 23))
}
