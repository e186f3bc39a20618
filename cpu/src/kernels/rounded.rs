//! Inputs in 8-bit integers with a scale to each block, as `ocelli::reference::rounded` has them.

use super::formats::Format;
use super::matrix::BLOCK;
use crate::isa::Isa;

/// Smaller numbers have no reciprocal.
const LEAST: f32 = f32::from_bits(0x0380_0000); // 2^-120

/// A block of inputs.
pub(super) struct Rounded {
    pub(super) integers: [i8; BLOCK],
    /// Value of one; NaN if an input is infinite or NaN.
    pub(super) scale: f32,
    /// Sums of both halves, times the scale.
    pub(super) sums: [f32; 2],
}

/// Rounds a block: inputs are multiplied by `127 / peak`, truncated to eight bits. Ties round to even.
///
/// # Safety
/// The instruction set is there.
#[inline(always)]
pub(super) unsafe fn block<I: Isa>(x: &[f32; BLOCK]) -> Rounded {
    let mut integers = [0; BLOCK];
    // SAFETY: As of this function; a block is whole vectors.
    unsafe {
        let (mut peaks, mut faults, zero) = (I::splat(0.0), I::splat(0.0), I::splat(0.0));
        for at in (0..BLOCK).step_by(I::LANES) {
            let x = I::load(x.as_ptr().add(at));
            peaks = I::max(peaks, I::max(x, I::sub(zero, x)));
            faults = I::fma(x, zero, faults);
        }
        let mut lanes = [0.0_f32; 16];
        I::store(lanes.as_mut_ptr(), peaks);
        let peak = lanes[..I::LANES].iter().fold(0.0_f32, |peak, &x| peak.max(x));
        let inverse = f32::from_bits((127.0 / peak.max(LEAST)).to_bits() & 0xffff_0000);
        let scale = if peak < LEAST { 0.0 } else { 1.0 / inverse } + I::sum(faults);
        for at in (0..BLOCK).step_by(I::LANES) {
            let x = I::mul(I::load(x.as_ptr().add(at)), I::splat(inverse));
            I::store_rounded(integers.as_mut_ptr().add(at), x);
        }
        let sum = |half: usize| integers[16 * half..][..16].iter().map(|&x| i32::from(x)).sum::<i32>() as f32;
        Rounded { integers, scale, sums: [scale * sum(0), scale * sum(1)] }
    }
}

/// Writes rows of `k` inputs as they are after rounding.
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
        let Rounded { integers, scale, .. } = unsafe { block::<I>(&whole) };
        to.iter_mut().zip(integers).for_each(|(to, integer)| *to = scale * f32::from(integer));
    }
}

/// [`crate::isa::Bytes::dots`] with the bits of a layout.
///
/// # Safety
/// The instruction set is there.
#[inline(always)]
pub(super) unsafe fn dots<I: Isa, L: Format, const N: usize>(weights: [I::B; N], inputs: [I::B; N]) -> I::F {
    // SAFETY: As of this function.
    unsafe {
        match L::BITS {
            4 => I::dots::<4, N>(weights, inputs),
            5 => I::dots::<5, N>(weights, inputs),
            6 => I::dots::<6, N>(weights, inputs),
            _ => I::dots::<8, N>(weights, inputs),
        }
    }
}
