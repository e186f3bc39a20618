//! Products with weight matrices, with the norm before them, by the kernels that suit the pass.

use super::pass::Pass;
use crate::error::Result;
use crate::gpu::{Recording, Slice};
use crate::kernels::gemv::{self, Gemv, LaneLayouts};
use crate::kernels::{LaneLayout, Linear, matvec, rms_norm};
use crate::weights::{Weight, WeightStore};

/// A root-mean-square norm.
#[derive(Debug)]
pub struct Norm {
    /// What the normed numbers are multiplied by. `// [width]`
    pub weight: Slice,
    /// Added to the mean square.
    pub eps: f32,
    /// Numbers in a row.
    pub width: usize,
    /// How the weight lies in memory.
    pub lane_layout: LaneLayout,
}

impl Norm {
    /// Takes its weight; fails with [`crate::Error::InvalidPackage`] if that is missing.
    pub fn new(weights: &mut WeightStore, name: &str, (width, eps): (usize, f32)) -> Result<Self> {
        let (weight, lane_layout) = weights.gain(name)?;
        Ok(Self { weight, eps, width, lane_layout })
    }

    /// Records `y = norm(x)`. `x`, `y`: `// [rows, width]`.
    pub fn record(&self, recording: &mut Recording, rows: usize, x: &Slice, y: &Slice) -> Result<()> {
        let tuning = rms_norm::Tuning::of(recording.kernel_config());
        rms_norm::record(recording, tuning, (rows, self.width), self.eps, x, (&self.weight, self.lane_layout), y)
    }

    /// The norm as kernels fold it into a product.
    pub(crate) fn folded(&self) -> gemv::Norm<'_> {
        gemv::Norm { weight: &self.weight, eps: self.eps, lane_layout: self.lane_layout }
    }
}

/// One or several matrices with the same inputs; one launch where their layouts allow them to be fused.
#[derive(Debug)]
pub struct FusedLinear {
    /// In order of their outputs.
    pub matrices: Vec<Weight>,
}

impl FusedLinear {
    /// The matrix, if all are one.
    pub fn single(&self) -> Option<&Weight> {
        if let [weight] = &self.matrices[..] { Some(weight) } else { None }
    }

    /// Outputs of all matrices together.
    pub fn width(&self) -> usize {
        width(&self.matrices)
    }

    /// Records `y = x * w^T` for many rows. `x`: `// [rows, inputs]`; `y`: `// [rows, width]`.
    pub fn record(&self, recording: &mut Recording, x: &Slice, rows: usize, y: &Slice) -> Result<()> {
        side_by_side(recording, &self.matrices, (x, rows), y)
    }
}

/// Records `y = norm(x) * w^T` for matrices whose outputs lie side by side. `x`: `// [rows, inputs]`; `y`: `// [rows, outputs]`.
pub fn normed(pass: &mut Pass<'_>, weights: &[Weight], norm: &Norm, (x, m): (&Slice, usize), y: &Slice) -> Result<()> {
    let h = pass.work.h.all(); // [rows, inputs]
    if !pass.is_step() {
        norm.record(pass.recording, m, x, &h)?;
        return side_by_side(pass.recording, weights, (&h, m), y);
    }
    let (y_stride, mut y_offset) = (width(weights), 0);
    for weight in weights {
        let gemv = gemv(pass, weight, m, 1, Some(norm));
        let product = Linear { x, m, weight, bias: None, y, y_stride, y_offset, accumulate: false };
        matvec::record(pass.recording, &gemv, &product, Some(norm.folded()))?;
        y_offset += weight.shape.rows;
    }
    Ok(())
}

/// Records `y = x * w^T` for many rows and matrices whose outputs lie side by side.
fn side_by_side(recording: &mut Recording, weights: &[Weight], (x, m): (&Slice, usize), y: &Slice) -> Result<()> {
    let (y_stride, mut y_offset) = (width(weights), 0);
    for weight in weights {
        Linear { x, m, weight, bias: None, y, y_stride, y_offset, accumulate: false }.record(recording)?;
        y_offset += weight.shape.rows;
    }
    Ok(())
}

/// The product of `m` rows of a step with a matrix, normed first if asked.
pub(super) fn gemv(pass: &Pass<'_>, weight: &Weight, m: usize, fused_outputs: usize, norm: Option<&Norm>) -> Gemv {
    let (x, y) = (pass.lane_layout(weight.shape.cols), LaneLayout::NATURAL);
    let gain = norm.map_or(LaneLayout::NATURAL, |norm| norm.lane_layout);
    let gemv = Gemv::of(pass.recording.kernel_config(), weight, m, fused_outputs, norm.is_some());
    gemv.with_lane_layouts(LaneLayouts { x, gain, y })
}

/// Outputs of all matrices together.
fn width(weights: &[Weight]) -> usize {
    weights.iter().map(|weight| weight.shape.rows).sum()
}

/// Records `y += x * w^T` for the rows of a pass, `x` in the order that `Pass::lane_layout` says unless it is told another.
/// `x`: `// [rows, inputs]`; `y`: `// [rows, outputs]`.
pub fn add(pass: &mut Pass<'_>, weight: &Weight, (x, lane_layout): (&Slice, LaneLayout), y: &Slice) -> Result<()> {
    let (m, y_stride) = (pass.rows, weight.shape.rows);
    let product = Linear { x, m, weight, bias: None, y, y_stride, y_offset: 0, accumulate: true };
    if !pass.is_step() {
        return product.record(pass.recording);
    }
    let lane_layouts = LaneLayouts { x: lane_layout, y: pass.lane_layout(y_stride), ..LaneLayouts::default() };
    let gemv = gemv(pass, weight, m, 1, None).with_lane_layouts(lane_layouts);
    matvec::record(pass.recording, &gemv, &product, None)
}

/// Records `y = x * w^T`, or `y += x * w^T`, for many rows. `x`: `// [m, inputs]`; `y`: `// [m, outputs]`.
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
