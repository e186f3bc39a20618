//! A few rows times a weight matrix, normed first if asked.

use super::gemv::{Gemv, Norm, Tuning, groups};
use super::{Linear, Variant, params_of};
use crate::error::Result;
use crate::gpu::{Dispatch, Kernel, Recording, Slice};
use crate::weights::layout::{Layout, MatrixShape};
use crate::weights::upload::{RowShard, Weight};

#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    m: u32,
    n: u32,
    k4: u32,
    blocks: u32,
    tiles: u32,
    eps: f32,
    y_stride: u32,
    y_offset: u32,
    flags: u32,
    first_row: u32,
    padding: [u32; 2],
}

/// `y = norm(x) * w^T (+ bias) (+ y)`.
#[derive(Debug)]
pub struct Matvec<'a> {
    /// Inputs. `// [m, k]`
    pub x: &'a Slice,
    /// Rows of `x`; best up to [`MAX_ROWS`](super::gemv::MAX_ROWS).
    pub m: usize,
    /// What is done to the inputs first.
    pub norm: Option<Norm<'a>>,
    /// The matrix. `// [n, k]`
    pub weight: &'a Weight,
    /// Added to every row. `// [n]`
    pub bias: Option<&'a Slice>,
    /// Outputs. `// [m, y_stride]`
    pub y: &'a Slice,
    /// Width of a row of `y`.
    pub y_stride: usize,
    /// First column of `y` that is written.
    pub y_offset: usize,
    /// Whether to add to what `y` holds.
    pub accumulate: bool,
    /// How threads divide it.
    pub tuning: Tuning,
}

pub(super) fn of(gemv: &Gemv) -> Kernel {
    gemv.kernel("matvec", "", gemv.shader("matvec"), Variant::Matvec(*gemv))
}

/// The kernel for `m` rows of inputs and a matrix.
pub fn kernel(weight: (Layout, MatrixShape), m: usize, norm: bool, tuning: Tuning) -> Kernel {
    of(&Gemv::new(weight, m, 1, norm, tuning))
}

/// Records the product: a launch for each part of the matrix.
///
/// # Errors
/// As [`Recording::dispatch`].
pub fn record(recording: &mut Recording, linear: &Linear<'_>) -> Result<()> {
    let &Linear { x, m, weight, bias, y, y_stride, y_offset, accumulate } = linear;
    let tuning = Tuning::of(recording.kernel_config());
    Matvec { x, m, norm: None, weight, bias, y, y_stride, y_offset, accumulate, tuning }.record(recording)
}

impl Matvec<'_> {
    /// Records the product: a launch for each part of the matrix.
    ///
    /// # Errors
    /// As [`Recording::dispatch`].
    pub fn record(&self, recording: &mut Recording) -> Result<()> {
        let Weight { layout, shape, .. } = *self.weight;
        self.record_as(&Gemv::new((layout, shape), self.m, 1, self.norm.is_some(), self.tuning), recording)
    }

    /// As [`Self::record`], by a kernel that is chosen already.
    ///
    /// # Errors
    /// As [`Recording::dispatch`].
    pub fn record_as(&self, gemv: &Gemv, recording: &mut Recording) -> Result<()> {
        self.weight.parts.iter().try_for_each(|part| recording.dispatch(self.dispatch(gemv, part)))
    }

    fn dispatch(&self, gemv: &Gemv, part: &RowShard) -> Dispatch {
        let shape = self.weight.shape;
        let params = Params {
            m: self.m as u32,
            n: part.rows as u32,
            k4: (shape.cols / 4) as u32,
            blocks: shape.blocks() as u32,
            tiles: groups(part.rows) as u32,
            eps: self.norm.map_or(0.0, |norm| norm.eps),
            y_stride: self.y_stride as u32,
            y_offset: (self.y_offset + part.first_row) as u32,
            flags: u32::from(self.bias.is_some()) | u32::from(self.accumulate) << 1,
            first_row: part.first_row as u32,
            padding: [0; 2],
        };
        // Where there is no bias its binding holds `x`, which the kernel then leaves alone.
        let own = [self.x, self.y, self.bias.unwrap_or(self.x)];
        let norm = self.norm.map(|norm| norm.weight);
        Dispatch {
            kernel: of(gemv),
            params: params_of(&params),
            buffers: own.into_iter().chain(norm).chain(&part.planes).cloned().collect(),
            grid: gemv.grid(self.m, groups(part.rows)),
            note: format!("m={} n={} k={}", self.m, part.rows, shape.cols),
        }
    }
}
