//! Random numbers that are the same on every machine.

use std::ops::Range;

/// Steele, Lea and Flood's `SplitMix64` (<https://doi.org/10.1145/2714064.2660195>).
pub(crate) struct Random(u64);

impl Random {
    /// The generator for a case of a parser.
    pub(crate) fn of(parser: &str, case: u64) -> Self {
        let name = parser.bytes().fold(0, |hash: u64, byte| hash.wrapping_mul(0x100_0000_01b3) ^ u64::from(byte));
        let mut random = Self(name);
        random.0 = random.bits() ^ case.wrapping_mul(0xd134_2543_de82_ef95);
        random
    }

    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ x >> 31
    }

    /// A number below `end`; 0 if there is none.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.bits() % end.max(1) as u64) as usize
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.bits() as u8
    }

    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len()))
    }

    /// A part of `len` bytes, at most `longest` long.
    pub(crate) fn part(&mut self, len: usize, longest: usize) -> Range<usize> {
        let start = self.below(len + 1);
        start..start + self.below((len - start).min(longest) + 1)
    }
}
