//! Common part of the sampling kernels: rules, logits with adjustments, and the race of tokens.

use bytemuck::{Pod, Zeroable};

use crate::job::Launch;
use crate::memory::Fault;

/// Marks the absence of a token.
pub(crate) const NONE: u32 = u32::MAX;
/// Chunks whose tokens alternate.
pub(crate) const LANES: usize = 64;
/// A logit that no repetition penalty makes infinite.
const MOST: f32 = 3e36;
/// Minus infinity.
const FORBIDDEN: u32 = 0xff80_0000;

/// Parameters of the sampling kernels.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Rules {
    pub(crate) vocab: u32,
    pub(crate) rounds: u32,
    pub(crate) chunks: u32,
    pub(crate) candidates: u32,
    pub(crate) greedy: u32,
    pub(crate) filters: u32,
    pub(crate) adjusts: u32,
    pub(crate) top_k: u32,
    pub(crate) seed: [u32; 2],
    pub(crate) top_p: u32,
    pub(crate) tail: f32,
    pub(crate) temperature: f32,
    pub(crate) frequency: f32,
    pub(crate) presence: f32,
    pub(crate) gap: f32,
    pub(crate) row: u32,
    pub(crate) masked: u32,
    pub(crate) repeated: [f32; 2],
}

impl Rules {
    /// A logit divided by the temperature.
    #[inline(always)]
    pub(crate) fn tempered(&self, logit: f64) -> f64 {
        logit / f64::from(self.temperature)
    }

    /// Returns true if logit `a` with its Gumbel number wins over `b` with its own. Differences are compared, which lose no precision for large
    /// logits.
    #[inline(always)]
    pub(crate) fn beats(&self, (a, luck): (f32, f64), (b, other): (f32, f64)) -> bool {
        if self.greedy == 1 { a > b } else { self.tempered(f64::from(a) - f64::from(b)) > other - luck }
    }

    /// The random number of a token.
    fn bits(&self, token: u32, drawn: u32) -> [u32; 2] {
        let [x, y, ..] = pcg4d([token, drawn, self.seed[0], self.seed[1]]);
        [x, y]
    }

    /// An upper bound of [`Self::gumbel`], without logarithms.
    #[inline(always)]
    pub(crate) fn most_luck(&self, token: u32, drawn: u32) -> f64 {
        f64::from(self.bits(token, drawn)[0].leading_zeros() + 1) * core::f64::consts::LN_2 + 1e-6
    }

    /// The standard Gumbel number of a token, `-ln(-ln(1 - u))` with 64 bits of `u`.
    pub(crate) fn gumbel(&self, token: u32, drawn: u32) -> f64 {
        const UNIT: f64 = 1.0 / 4_294_967_296.0;
        let [high, low] = self.bits(token, drawn);
        let u = (f64::from(high) + (f64::from(low) + 0.5) * UNIT) * UNIT;
        -libm::log(-libm::log1p(-u))
    }
}

/// Jarzynski and Olano 2020, Hash Functions for GPU Rendering, <https://jcgt.org/published/0009/03/02/>.
#[inline(always)]
fn pcg4d(key: [u32; 4]) -> [u32; 4] {
    let mut v = key.map(|word| word.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    let mix = |v: &mut [u32; 4]| {
        for (to, a, b) in [(0, 1, 3), (1, 2, 0), (2, 0, 1), (3, 1, 2)] {
            v[to] = v[to].wrapping_add(v[a].wrapping_mul(v[b]));
        }
    };
    mix(&mut v);
    v = v.map(|word| word ^ word >> 16);
    mix(&mut v);
    v
}

/// Logits of a row, with bias, penalties and mask.
#[derive(Clone, Copy)]
pub(crate) struct Logits<'a> {
    rules: Rules,
    raw: &'a [f32],
    adjust: &'a [[f32; 2]],
    mask: &'a [u32],
}

/// A token's logit.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Logit {
    /// With bias and penalties.
    Usable(f32),
    /// Minus infinity, or outside of the mask.
    Forbidden,
    /// Plus infinity or NaN: twice the token's id, plus 1 for NaN.
    Unusable(u32),
}

impl<'a> Logits<'a> {
    /// Row `row` after the first one of the rules. The logits are binding 0, adjustments 4, the mask 5.
    pub(crate) fn of(launch: &Launch<'a>, rules: Rules, row: usize) -> Result<Self, Fault> {
        let vocab = rules.vocab as usize;
        let first =
            (rules.row as usize).checked_add(row).and_then(|row| row.checked_mul(vocab)).ok_or(Fault::OutOfBounds)?;
        let raw = &launch.input::<f32, _>(0, [first.checked_add(vocab).ok_or(Fault::OutOfBounds)?])?[first..]; // [vocab]
        let adjust = if rules.adjusts == 1 { launch.input(4, [vocab])? } else { &[] };
        let words = vocab.div_ceil(32);
        let mask = if rules.masked == 1 { &launch.input::<u32, _>(5, [row + 1, words])?[row * words..] } else { &[] };
        Ok(Self { rules, raw, adjust, mask })
    }

    /// The logit of a token.
    #[inline(always)]
    pub(crate) fn get(&self, id: usize) -> Logit {
        let Some(raw) = self.raw.get(id) else { return Logit::Forbidden };
        let bits = raw.to_bits();
        if self.mask.get(id / 32).is_some_and(|word| word >> (id % 32) & 1 == 0) || bits == FORBIDDEN {
            return Logit::Forbidden;
        }
        if bits & 0x7fff_ffff >= 0x7f80_0000 {
            return Logit::Unusable(id as u32 * 2 + u32::from(bits & 0x7f_ffff != 0));
        }
        let Some([bias, drawn]) = self.adjust.get(id) else { return Logit::Usable(*raw) };
        let is_penalised = *drawn > 0.0 && self.rules.repeated[1] != 1.0;
        let factor = self.rules.repeated[usize::from(*raw <= 0.0)];
        let raw = if is_penalised { raw.clamp(-MOST, MOST) * factor } else { *raw };
        // The count without the half of a token that was seen.
        let drawn = *drawn as u32 as f32;
        let penalty = if drawn > 0.0 { drawn * self.rules.frequency + self.rules.presence } else { 0.0 };
        Logit::Usable(raw + bias - penalty)
    }
}
