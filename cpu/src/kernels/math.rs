//! Functions of vectors of floats.

use crate::isa::Isa;

/// `exp(x)` within 2 units in the last place, for numbers of at most 88; smaller than -87 counts as -87. Cephes' polynomial.
///
/// # Safety
/// The instruction set is there.
#[inline(always)]
pub(crate) unsafe fn exp<I: Isa>(x: I::F) -> I::F {
    const POWERS: [f32; 6] = [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 5e-1];
    // SAFETY: As of this function.
    unsafe {
        let x = I::max(I::min(x, I::splat(88.0)), I::splat(-87.0));
        let n = I::round(I::mul(x, I::splat(core::f32::consts::LOG2_E)));
        // ln 2 in two parts, of which the first has few digits.
        let rest = I::fma(n, I::splat(-0.693_359_4), x);
        let rest = I::fma(n, I::splat(2.121_944_4e-4), rest);
        let mut power = I::splat(POWERS[0]);
        for next in &POWERS[1..] {
            power = I::fma(power, rest, I::splat(*next));
        }
        let power = I::add(I::fma(power, I::mul(rest, rest), rest), I::splat(1.0));
        I::mul(power, I::exp2(n))
    }
}

/// The activations, numbered as in `ocelli::kernels`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activation {
    Silu,
    Gelu,
    GeluTanh,
}

impl Activation {
    pub(crate) fn of(number: u32) -> Self {
        match number {
            0 => Self::Silu,
            1 => Self::Gelu,
            _ => Self::GeluTanh,
        }
    }

    /// The activation of each lane.
    ///
    /// # Safety
    /// The instruction set is there.
    #[inline(always)]
    pub(crate) unsafe fn apply<I: Isa>(self, x: I::F) -> I::F {
        // SAFETY: As of this function.
        unsafe {
            match self {
                Self::Silu => sigmoid_times::<I>(x, x),
                Self::Gelu => {
                    let half = I::mul(x, I::splat(0.5));
                    I::fma(half, erf::<I>(I::mul(x, I::splat(core::f32::consts::FRAC_1_SQRT_2))), half)
                }
                Self::GeluTanh => {
                    let cube = I::mul(I::mul(x, x), x);
                    let inner = I::mul(I::splat(0.797_884_6), I::fma(I::splat(0.044_715), cube, x));
                    // (1 + tanh(z)) / 2 = 1 / (1 + exp(-2z)), which loses nothing where tanh is close to -1.
                    sigmoid_times::<I>(I::mul(I::splat(2.0), inner), x)
                }
            }
        }
    }

    /// Applies it to all numbers.
    ///
    /// # Safety
    /// The instruction set is there.
    #[inline(always)]
    pub(crate) unsafe fn all<I: Isa>(self, x: &mut [f32]) {
        let mut chunks = x.chunks_exact_mut(I::LANES);
        // SAFETY: As of this function; chunks are whole vectors.
        unsafe {
            for chunk in &mut chunks {
                I::store(chunk.as_mut_ptr(), self.apply::<I>(I::load(chunk.as_ptr())));
            }
            for x in chunks.into_remainder() {
                *x = self.one::<I>(*x);
            }
        }
    }

    /// The activation of a number, with the bits of [`Self::apply`].
    ///
    /// # Safety
    /// The instruction set is there.
    #[inline(always)]
    pub(crate) unsafe fn one<I: Isa>(self, x: f32) -> f32 {
        // SAFETY: As of this function; there is room for a vector of 16 lanes.
        unsafe {
            let mut lanes = [0.0; 16];
            I::store(lanes.as_mut_ptr(), self.apply::<I>(I::splat(x)));
            lanes[0]
        }
    }
}

/// `y / (1 + exp(-x))`: `y` times the sigmoid of `x`.
///
/// # Safety
/// The instruction set is there.
#[inline(always)]
pub(crate) unsafe fn sigmoid_times<I: Isa>(x: I::F, y: I::F) -> I::F {
    // SAFETY: As of this function.
    unsafe {
        // The bound keeps the exponential finite.
        let exponential = exp::<I>(I::min(I::sub(I::splat(0.0), x), I::splat(80.0)));
        I::div(y, I::add(I::splat(1.0), exponential))
    }
}

/// The error function by Abramowitz and Stegun 7.1.26, within 1.5e-7.
#[inline(always)]
unsafe fn erf<I: Isa>(x: I::F) -> I::F {
    // SAFETY: As of the callers.
    unsafe {
        let one = I::splat(1.0);
        let size = I::max(x, I::sub(I::splat(0.0), x));
        let t = I::div(one, I::fma(I::splat(0.327_591_1), size, one));
        let mut poly = I::splat(1.061_405_4);
        for next in [-1.453_152_1, 1.421_413_8, -0.284_496_72, 0.254_829_6] {
            poly = I::fma(poly, t, I::splat(next));
        }
        let rest = I::mul(I::mul(poly, t), exp::<I>(I::sub(I::splat(0.0), I::mul(x, x))));
        // The sign of x, or zero.
        let sign = I::max(I::min(I::mul(x, I::splat(f32::MAX)), one), I::splat(-1.0));
        I::mul(sign, I::sub(one, rest))
    }
}
