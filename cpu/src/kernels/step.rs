//! The step buffer: position, page table and rope table of conversations, as `ocelli::kernels::cache` describes it.

use crate::memory::Fault;
use crate::op::Held;

/// Positions of a page.
pub(crate) const PAGE: usize = 256;
/// First word of the page table.
const PAGES: usize = 64;

/// The words of a step buffer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step<'a>(&'a [u32]);

/// The part of a conversation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Conversation<'a> {
    words: &'a [u32],
    /// Position of the first new row.
    pub(crate) position: usize,
    /// Splits of its attention, if conversations are apart.
    pub(crate) splits: usize,
}

impl<'a> Step<'a> {
    pub(crate) fn of(words: &'a [u32]) -> Result<Self, Fault> {
        if words.len() > PAGES { Ok(Self(words)) } else { Err(Fault::OutOfBounds) }
    }

    /// Returns true if each row belongs to another conversation.
    pub(crate) fn is_apart(self) -> bool {
        self.0[5] > 0
    }

    /// The conversation of a row, and the row's number in it.
    pub(crate) fn row(self, row: usize) -> Result<(Conversation<'a>, usize), Fault> {
        let first = row.checked_mul(self.0[5] as usize * 4).ok_or(Fault::OutOfBounds)?;
        let words = self.0.get(first..).filter(|words| words.len() > PAGES).ok_or(Fault::OutOfBounds)?;
        let conversation = Conversation { words, position: words[1] as usize, splits: words[6] as usize };
        Ok((conversation, if self.is_apart() { 0 } else { row }))
    }
}

impl<'a> Conversation<'a> {
    /// The cache's row of a position.
    #[inline(always)]
    pub(crate) fn kv_row(self, position: usize) -> Result<usize, Fault> {
        let page = self.words.get(PAGES + position / PAGE).ok_or(Fault::OutOfBounds)?;
        Ok(*page as usize * PAGE + position % PAGE)
    }

    /// The row of a position in the table of rope `rope` of `ropes`, whose rows have `words` words: cosines, sines and the scale of queries.
    pub(crate) fn rotation(
        self,
        position: usize,
        dim: usize,
        (rope, ropes, words): (usize, usize, usize),
    ) -> Result<Rotation<'a>, Fault> {
        let row = position.checked_sub(self.words[3] as usize).ok_or(Fault::OutOfBounds)?;
        let first = row.checked_mul(ropes).and_then(|row| (row + rope).checked_mul(words)).ok_or(Fault::OutOfBounds)?;
        let first = first.checked_add(self.words[4] as usize).ok_or(Fault::OutOfBounds)?;
        let row = self.words.get(first..).and_then(|rest| rest.get(..dim + 1)).ok_or(Fault::OutOfBounds)?;
        let floats: &[f32] = bytemuck::cast_slice(row);
        Ok(Rotation { cos: &floats[..dim / 2], sin: &floats[dim / 2..dim], scale: floats[dim] })
    }
}

/// Angles of a position.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rotation<'a> {
    /// `// [head_dim / 2]`
    pub(crate) cos: &'a [f32],
    /// `// [head_dim / 2]`
    pub(crate) sin: &'a [f32],
    /// Scale of queries.
    pub(crate) scale: f32,
}

impl Held {
    /// Bytes of a number.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
            Self::Int8 => 1,
        }
    }
}

/// The nearest 16-bit float, ties to even; numbers beyond 65504 become 65504, NaN stays NaN.
#[inline(always)]
pub(crate) fn to_half(x: f32) -> u16 {
    let bits = half::f16::from_f32_const(x).to_bits();
    if bits & 0x7fff == 0x7c00 { bits & 0x8000 | 0x7bff } else { bits }
}
