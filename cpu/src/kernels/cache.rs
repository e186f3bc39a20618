//! Keys and values: stored in a cache, and read from one or from matrices.

use super::step::to_half;
use crate::job::Launch;
use crate::memory::{Fault, Output};
use crate::op::Held;

/// Smallest scale of 8-bit integers.
const SMALLEST: f32 = f32::from_bits(0x3880_0000);
/// Largest number of a head that 8-bit integers hold.
const LARGEST: f32 = 127.0 * 65504.0;

/// The planes of a cache, to be written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Store<'a> {
    held: Held,
    keys: Output<'a, u8>,
    values: Output<'a, u8>,
    /// `// [pages, kv_heads, PAGE]`
    scales: Option<Output<'a, u32>>,
}

/// A head of a row of the cache.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) row: usize,
    pub(crate) head: usize,
    pub(crate) heads: usize,
}

impl<'a> Store<'a> {
    /// The planes from binding `first` on.
    pub(crate) fn of(launch: &Launch<'a>, first: usize, held: Held) -> Result<Self, Fault> {
        let scales = if held == Held::Int8 { Some(launch.output(first + 2, [0])?) } else { None };
        Ok(Self { held, keys: launch.output(first, [0])?, values: launch.output(first + 1, [0])?, scales })
    }

    /// Number of its bindings.
    pub(crate) fn bindings(&self) -> usize {
        if self.scales.is_some() { 3 } else { 2 }
    }

    /// Stores numbers of a row from number `at` on, in floats.
    ///
    /// # Safety
    /// No other thread stores them.
    unsafe fn put(&self, plane: &Output<'a, u8>, at: usize, numbers: &[f32]) {
        // SAFETY: As of this function; parts are empty beyond the end.
        unsafe {
            match self.held {
                Held::F32 => {
                    let to = plane.part(at * 4, numbers.len() * 4);
                    to.chunks_exact_mut(4).zip(numbers).for_each(|(to, x)| to.copy_from_slice(&x.to_ne_bytes()));
                }
                Held::F16 => {
                    let to = plane.part(at * 2, numbers.len() * 2);
                    let halves = numbers.iter().map(|x| to_half(*x).to_ne_bytes());
                    to.chunks_exact_mut(2).zip(halves).for_each(|(to, half)| to.copy_from_slice(&half));
                }
                Held::Int8 => {}
            }
        }
    }

    /// Stores numbers of the keys of a row, from number `at` of all rows on. Not for integers.
    ///
    /// # Safety
    /// No other thread stores them.
    pub(crate) unsafe fn keys(&self, at: usize, numbers: &[f32]) {
        // SAFETY: As of this function.
        unsafe { self.put(&self.keys, at, numbers) }
    }

    /// The same for values.
    ///
    /// # Safety
    /// No other thread stores them.
    pub(crate) unsafe fn values(&self, at: usize, numbers: &[f32]) {
        // SAFETY: As of this function.
        unsafe { self.put(&self.values, at, numbers) }
    }

    /// Stores a head.
    ///
    /// # Safety
    /// No other thread stores it.
    pub(crate) unsafe fn head(&self, place: Place, keys: &[f32], values: &[f32]) {
        let Place { row, head, heads } = place;
        let Some(at) = row.checked_mul(heads).and_then(|row| (row + head).checked_mul(keys.len())) else { return };
        // SAFETY: As of this function.
        unsafe {
            let Some(scales) = self.scales else {
                self.keys(at, keys);
                return self.values(at, values);
            };
            let [k, v] = [(self.keys, keys), (self.values, values)].map(|(plane, numbers)| {
                let scale = scale_of(numbers);
                let to = plane.part(at, numbers.len());
                let rounded = half::f16::from_bits(scale).to_f32_const();
                to.iter_mut().zip(numbers).for_each(|(to, x)| {
                    *to = libm::rintf((x / rounded).clamp(-127.0, 127.0)) as i8 as u8;
                });
                u32::from(scale)
            });
            scales.set(
                (row / super::step::PAGE * heads + head) * super::step::PAGE + row % super::step::PAGE,
                k | v << 16,
            );
        }
    }
}

/// The 16-bit scale of a head in 8-bit integers. A NaN makes it NaN, so that a fault shows in the answer.
fn scale_of(numbers: &[f32]) -> u16 {
    let size = |x: &f32| x.to_bits() & 0x7fff_ffff;
    let peak = numbers.iter().map(size).max().unwrap_or(0);
    if peak > 0x7f80_0000 {
        return half::f16::NAN.to_bits();
    }
    to_half((f32::from_bits(peak).min(LARGEST) * (1.0 / 127.0)).max(SMALLEST))
}
