//! A few rows times the gate and up matrices of a gated feed-forward (<https://arxiv.org/abs/2002.05202>), with an optional norm of the
//! inputs: [`matvec`](super::matvec) and [`glu`](super::glu) fused.

use super::gemv::{Gemv, Norm, bindings, groups};
use super::{Variant, params};
use crate::config::Activation;
use crate::error::Result;
use crate::gpu::{Dispatch, Kernel, Recording, Slice};
use crate::layout::ROW_GROUP;
use crate::weights::Weight;

/// `y = act(norm(x) * gate^T) * (norm(x) * up^T)`.
#[derive(Debug)]
pub struct GatedMatvec<'a> {
    /// Inputs. `// [m, k]`
    pub x: &'a Slice,
    /// Rows of `x`; preferably at most [`MAX_ROWS`](super::gemv::MAX_ROWS).
    pub m: usize,
    /// Norm of the inputs.
    pub norm: Option<Norm<'a>>,
    /// The matrix, in one part: rows of the gate, then as many of up. `// [2 * n, k]`
    pub weight: &'a Weight,
    /// Activation of the gate.
    pub activation: Activation,
    /// Outputs. `// [m, n]`
    pub y: &'a Slice,
}

/// The kernel.
pub fn kernel(gemv: &Gemv) -> Kernel {
    gemv.kernel("gated_matvec", "", gemv.shader("gated_matvec"), Variant::GatedMatvec(gemv.of_text()))
}

/// Returns true if one launch suffices on a device that binds at most `limit` storage buffers: the matrix is in one part, and no group
/// of four rows contains rows of both the gate and up.
pub fn can_fuse(weight: &Weight, norm: bool, limit: usize) -> bool {
    let one = weight.parts.len() == 1 && weight.shape.rows.is_multiple_of(2 * ROW_GROUP);
    one && bindings(2, norm, weight.layout) <= limit
}

/// Records the launch; requires [`can_fuse`]. `gemv` has two fused outputs.
pub fn record(recording: &mut Recording, gemv: &Gemv, gated: &GatedMatvec<'_>) -> Result<()> {
    let &GatedMatvec { x, m, norm, weight: Weight { shape, parts, .. }, activation, y } = gated;
    let (n, k) = (shape.rows / 2, shape.cols);
    let eps = norm.map_or(0.0, |norm| norm.eps);
    let planes = parts.iter().flat_map(|part| &part.planes);
    recording.dispatch(Dispatch {
        kernel: kernel(gemv),
        params: params!(
            m,
            k4 = k / 4,
            blocks = shape.blocks(),
            tiles = groups(n),
            eps,
            activation,
            y_layout = gemv.lane_layouts.y.word(),
        ),
        buffers: [x, y].into_iter().chain(norm.map(|norm| norm.weight)).chain(planes).cloned().collect(),
        grid: gemv.grid(m, groups(n)),
        note: format!("m={m} n={n} k={k} {activation:?}"),
    })
}
