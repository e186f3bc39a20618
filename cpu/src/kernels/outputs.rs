//! Outputs of products: columns of rows, with an optional bias and an optional sum with the previous content.

use super::matrix::GROUP;
use crate::job::Launch;
use crate::memory::{Fault, Output};

/// `flags` of the parameters.
const ADDS_BIAS: u32 = 1;
const ACCUMULATES: u32 = 2;

/// The columns that a launch writes. `y` is binding 1, the bias binding 2.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outputs<'a> {
    y: Output<'a, f32>,
    /// Bias of the columns of this part of the matrix.
    bias: Option<&'a [f32]>,
    columns: usize,
    stride: usize,
    offset: usize,
    accumulates: bool,
    layout: u32,
}

impl<'a> Outputs<'a> {
    /// The outputs of `m` rows and `n` columns. `first_row` is the first column's row in the whole matrix, to which the bias belongs.
    pub(crate) fn of(
        launch: &Launch<'a>,
        (m, n): (usize, usize),
        (stride, offset): (u32, u32),
        flags: u32,
        first_row: u32,
        layout: u32,
    ) -> Result<Self, Fault> {
        let (stride, offset, first_row) = (stride as usize, offset as usize, first_row as usize);
        // The first column may lie in a later row.
        let last = m.saturating_sub(1).checked_mul(stride).and_then(|row| row.checked_add(offset + n));
        if n > stride {
            return Err(Fault::OutOfBounds);
        }
        let y = launch.output(1, [last.ok_or(Fault::OutOfBounds)?])?; // [m, stride]
        let bias = match flags & ADDS_BIAS {
            0 => None,
            _ => Some(&launch.input::<f32, _>(2, [first_row.checked_add(n).ok_or(Fault::OutOfBounds)?])?[first_row..]), // [n]
        };
        Ok(Self { y, bias, columns: n, stride, offset, accumulates: flags & ACCUMULATES != 0, layout })
    }

    /// Stores the four columns of a group of a row; those past the last column are left out.
    ///
    /// # Safety
    /// No other thread stores the same columns.
    #[inline(always)]
    pub(crate) unsafe fn store(&self, row: usize, group: usize, four: [f32; GROUP]) {
        let first = group * GROUP;
        if self.layout == 0 && first + GROUP <= self.columns {
            // SAFETY: As of this function.
            let to = unsafe { self.y.part(row * self.stride + self.offset + first, GROUP) };
            let bias = self.bias.and_then(|bias| bias.get(first..first + GROUP)).unwrap_or(&[0.0; GROUP]);
            for (to, (result, bias)) in to.iter_mut().zip(four.iter().zip(bias)) {
                *to = if self.accumulates { *to + (result + bias) } else { result + bias };
            }
            return;
        }
        for (index, mut result) in four.into_iter().enumerate() {
            let column = group * GROUP + index;
            if column >= self.columns {
                return;
            }
            result += self.bias.map_or(0.0, |bias| bias[column]);
            let at = super::lane_place(row * self.stride + self.offset + column, self.layout);
            // SAFETY: As of this function.
            unsafe {
                let before = if self.accumulates { self.y.get(at) } else { 0.0 };
                self.y.set(at, if self.accumulates { before + result } else { result });
            }
        }
    }
}
