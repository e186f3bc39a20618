//! Products with weight matrices and the norms before and after them, by the kernels for the pass's form.

use super::pass::Pass;
use crate::error::{Error, Result};
use crate::gpu::{Recording, Slice};
use crate::kernels::gemv::{self, Gemv, LaneLayouts};
use crate::kernels::rms_norm::RmsNorm;
use crate::kernels::{LaneLayout, Linear, matvec, rms_norm};
use crate::weights::{Weight, WeightStore};

/// A root-mean-square norm.
#[derive(Debug)]
pub struct Norm {
    /// `// [width]`
    pub weight: Slice,
    /// Added to the mean square.
    pub eps: f32,
    /// Numbers in a row.
    pub width: usize,
    /// Lane layout of the weight.
    pub lane_layout: LaneLayout,
}

impl Norm {
    /// Takes the weight from the store; fails with [`crate::Error::InvalidPackage`] if it is missing.
    pub fn new(weights: &mut WeightStore, name: &str, width: usize, eps: f32) -> Result<Self> {
        let (weight, lane_layout) = weights.gain(name)?;
        Ok(Self { weight, eps, width, lane_layout })
    }

    /// Records `y = norm(x)` for rows in the natural layout. `x`, `y`: `// [rows, width]`.
    pub fn record(&self, recording: &mut Recording, rows: usize, x: &Slice, y: &Slice) -> Result<()> {
        self.launch(recording, rows, self.lane_layout, (x, y, false), None)
    }

    /// Records `y += norm(x)` for rows in the natural layout. `x`, `y`: `// [rows, width]`.
    pub(super) fn add_natural(&self, recording: &mut Recording, rows: usize, x: &Slice, y: &Slice) -> Result<()> {
        self.launch(recording, rows, self.lane_layout, (x, y, true), None)
    }

    /// Records `y = (y + norm(x)) * factor` for the rows of a pass, in its lane layout. `x`, `y`: `// [rows, width]`; `factor`: `// [1]`.
    fn add(&self, pass: &mut Pass<'_>, x: &Slice, y: &Slice, factor: Option<&Slice>) -> Result<()> {
        // The weight of a step has the layout of the rows, so that both are read in the order of memory.
        let lane_layout = match pass.lane_layout(self.width) {
            LaneLayout::NATURAL => self.lane_layout,
            of_rows if of_rows == self.lane_layout => LaneLayout::NATURAL,
            _ => return Err(Error::Internal { detail: "a norm in another layout than its rows".into() }),
        };
        self.launch(pass.recording, pass.rows, lane_layout, (x, y, true), factor)
    }

    fn launch(
        &self,
        recording: &mut Recording,
        rows: usize,
        lane_layout: LaneLayout,
        (x, y, adds): (&Slice, &Slice, bool),
        factor: Option<&Slice>,
    ) -> Result<()> {
        let &Self { ref weight, eps, width, .. } = self;
        let tuning = rms_norm::Tuning::of(recording.kernel_config());
        rms_norm::record(recording, tuning, &RmsNorm { x, rows, width, eps, weight, lane_layout, y, adds, factor })
    }

    /// The norm as kernels fold it into a product.
    pub(crate) fn folded(&self) -> gemv::Norm<'_> {
        gemv::Norm { weight: &self.weight, eps: self.eps, lane_layout: self.lane_layout }
    }
}

/// One or several matrices with the same inputs: one if their layouts allow it, so that the product is one launch.
#[derive(Debug)]
pub struct FusedLinear {
    /// Matrices in the order of their outputs.
    pub matrices: Vec<Weight>,
}

impl FusedLinear {
    /// Returns the matrix if there is only one.
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

/// Records `y = x * w^T` for the rows of a pass in its lane layout. `x`: `// [rows, inputs]`; `y`: `// [rows, outputs]`, in the natural layout.
pub(super) fn product(pass: &mut Pass<'_>, weight: &Weight, x: &Slice, y: &Slice) -> Result<()> {
    let (m, y_stride) = (pass.rows, weight.shape.rows);
    let product = Linear { x, m, weight, bias: None, y, y_stride, y_offset: 0, accumulate: false };
    if !pass.is_step() {
        return product.record(pass.recording);
    }
    let gemv = gemv(pass, weight, m, 1, None);
    matvec::record(pass.recording, &gemv, &product, None)
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

/// The kernel for the product of `m` rows of a step with a matrix, after `norm` if there is one.
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

/// The last product of attention or feed-forward, which is added to the residual stream.
#[derive(Debug)]
pub struct Residual {
    /// `// [hidden, inputs]`
    pub weight: Weight,
    /// Norm of the product before it is added, in layers with post-norms.
    pub post_norm: Option<Norm>,
    /// Factor of the residual stream after that, in the last product of a layer that has one. `// [1]`
    pub factor: Option<Slice>,
}

impl Residual {
    /// Records `stream += x * w^T`, or `stream += norm(x * w^T)`, for rows in a lane layout. `x`: `// [rows, inputs]`.
    pub fn add(&self, pass: &mut Pass<'_>, (x, lane_layout): (&Slice, LaneLayout)) -> Result<()> {
        let (m, weight, y_stride, stream) = (pass.rows, &self.weight, self.weight.shape.rows, pass.x());
        let h = pass.work.h.all(); // [rows, hidden], unused since the products of the normed stream
        let (y, accumulate) = if self.post_norm.is_some() { (&h, false) } else { (&stream, true) };
        let product = Linear { x, m, weight, bias: None, y, y_stride, y_offset: 0, accumulate };
        if pass.is_step() {
            let lane_layouts = LaneLayouts { x: lane_layout, y: pass.lane_layout(y_stride), ..LaneLayouts::default() };
            let gemv = gemv(pass, weight, m, 1, None).with_lane_layouts(lane_layouts);
            matvec::record(pass.recording, &gemv, &product, None)?;
        } else {
            product.record(pass.recording)?;
        }
        let factor = self.factor.as_ref();
        self.post_norm.as_ref().map_or(Ok(()), |norm| norm.add(pass, &h, &stream, factor))
    }
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
