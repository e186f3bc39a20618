//! Products with weight matrices, with the norm before them, by the kernels that suit the pass.

use super::pass::Pass;
use crate::error::Result;
use crate::gpu::{Recording, Slice};
use crate::kernels::gemv::{self, Tuning};
use crate::kernels::matvec::Matvec;
use crate::kernels::{Linear, rms_norm};
use crate::weights::upload::{Weight, WeightStore};

/// A root-mean-square norm.
#[derive(Debug)]
pub struct Norm {
    /// What the normed numbers are multiplied by. `// [width]`
    pub weight: Slice,
    /// Added to the mean square.
    pub eps: f32,
    /// Numbers in a row.
    pub width: usize,
}

impl Norm {
    /// Records `y = norm(x)`. `x`, `y`: `// [rows, width]`.
    ///
    /// # Errors
    /// As [`Recording::dispatch`].
    pub fn record(&self, recording: &mut Recording, rows: usize, x: &Slice, y: &Slice) -> Result<()> {
        rms_norm::record(recording, (rows, self.width), self.eps, x, &self.weight, y)
    }

    /// The norm as kernels fold it into a product.
    pub(crate) fn folded(&self) -> gemv::Norm<'_> {
        gemv::Norm { weight: &self.weight, eps: self.eps }
    }
}

/// One or several matrices with the same inputs; one launch where their layouts allow them to be fused.
#[derive(Debug)]
pub struct FusedLinear {
    matrices: Vec<Weight>,
}

impl FusedLinear {
    /// Takes the fused matrix of this name.
    ///
    /// # Errors
    /// [`crate::Error::InvalidPackage`] if one is missing.
    pub fn new(weights: &mut WeightStore, name: &str) -> Result<Self> {
        Ok(Self { matrices: weights.fused(name)? })
    }

    /// The matrices, in order of their outputs.
    pub fn matrices(&self) -> &[Weight] {
        &self.matrices
    }

    /// The matrix, if all are one.
    pub fn single(&self) -> Option<&Weight> {
        if let [weight] = &self.matrices[..] { Some(weight) } else { None }
    }

    /// Outputs of all matrices together.
    pub fn width(&self) -> usize {
        self.matrices.iter().map(|weight| weight.shape.rows).sum()
    }

    /// Records `y = x * w^T` for many rows. `x`: `// [rows, inputs]`; `y`: `// [rows, width]`.
    ///
    /// # Errors
    /// As [`Recording::dispatch`].
    pub fn record(&self, recording: &mut Recording, x: &Slice, rows: usize, y: &Slice) -> Result<()> {
        let (y_stride, mut y_offset) = (self.width(), 0);
        for weight in &self.matrices {
            Linear { x, m: rows, weight, bias: None, y, y_stride, y_offset, accumulate: false }.record(recording)?;
            y_offset += weight.shape.rows;
        }
        Ok(())
    }

    /// Records `y = norm(x) * w^T`, as [`normed`].
    ///
    /// # Errors
    /// As [`Recording::dispatch`].
    pub fn record_normed(&self, pass: &mut Pass<'_>, norm: &Norm, x: &Slice, y: &Slice) -> Result<()> {
        normed(pass, self.matrices.iter(), norm, (x, pass.rows), y)
    }
}

/// Records `y = norm(x) * w^T` for matrices whose outputs lie side by side. `x`: `// [rows, inputs]`; `y`: `// [rows, outputs]`.
///
/// # Errors
/// As [`Recording::dispatch`].
pub fn normed<'a>(
    pass: &mut Pass<'_>,
    weights: impl Iterator<Item = &'a Weight> + Clone,
    norm: &Norm,
    (x, m): (&Slice, usize),
    y: &Slice,
) -> Result<()> {
    let (y_stride, mut y_offset) = (weights.clone().map(|weight| weight.shape.rows).sum(), 0);
    let (is_step, h) = (pass.is_step(), pass.work.h.all()); // [rows, inputs]
    if !is_step {
        norm.record(pass.recording, m, x, &h)?;
    }
    for weight in weights {
        if is_step {
            let (norm, tuning) = (Some(norm.folded()), Tuning::of(pass.recording.kernel_config()));
            Matvec { x, m, norm, weight, bias: None, y, y_stride, y_offset, accumulate: false, tuning }
                .record(pass.recording)?;
        } else {
            Linear { x: &h, m, weight, bias: None, y, y_stride, y_offset, accumulate: false }.record(pass.recording)?;
        }
        y_offset += weight.shape.rows;
    }
    Ok(())
}

/// Records `y += x * w^T` for the rows of a pass. `x`: `// [rows, inputs]`; `y`: `// [rows, outputs]`.
///
/// # Errors
/// As [`Recording::dispatch`].
pub fn add(pass: &mut Pass<'_>, weight: &Weight, x: &Slice, y: &Slice) -> Result<()> {
    if !pass.is_step() {
        return project(pass.recording, weight, x, pass.rows, y, true);
    }
    let (m, y_stride, tuning) = (pass.rows, weight.shape.rows, Tuning::of(pass.recording.kernel_config()));
    Matvec { x, m, norm: None, weight, bias: None, y, y_stride, y_offset: 0, accumulate: true, tuning }
        .record(pass.recording)
}

/// Records `y = x * w^T`, or `y += x * w^T`, for many rows. `x`: `// [m, inputs]`; `y`: `// [m, outputs]`.
///
/// # Errors
/// As [`Recording::dispatch`].
pub fn project(
    recording: &mut Recording,
    weight: &Weight,
    x: &Slice,
    m: usize,
    y: &Slice,
    accumulate: bool,
) -> Result<()> {
    let y_stride = weight.shape.rows;
    Linear { x, m, weight, bias: None, y, y_stride, y_offset: 0, accumulate }.record(recording)
}
