//! A few rows through the gate of a gated feed-forward (<https://arxiv.org/abs/2002.05202>), normed first if asked:
//! what [`matvec`](super::matvec) and [`glu`](super::glu) do, in one launch.

use super::gemv::{Gemv, Norm, Tuning, bindings, groups};
use super::{Variant, activation_id, params_of};
use crate::config::Activation;
use crate::error::Result;
use crate::gpu::{Dispatch, Kernel, Recording, Slice};
use crate::weights::layout::{Layout, MatrixShape, ROW_GROUP};
use crate::weights::upload::Weight;

#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    m: u32,
    k4: u32,
    blocks: u32,
    tiles: u32,
    eps: f32,
    activation: u32,
    padding: [u32; 2],
}

/// `y = act(norm(x) * gate^T) * (norm(x) * up^T)`.
#[derive(Debug)]
pub struct GatedMatvec<'a> {
    /// Inputs. `// [m, k]`
    pub x: &'a Slice,
    /// Rows of `x`; best up to [`MAX_ROWS`](super::gemv::MAX_ROWS).
    pub m: usize,
    /// What is done to the inputs first.
    pub norm: Option<Norm<'a>>,
    /// The matrix, in one part: rows of the gate, then as many of up. `// [2 * n, k]`
    pub weight: &'a Weight,
    /// The gate's.
    pub activation: Activation,
    /// Outputs. `// [m, n]`
    pub y: &'a Slice,
    /// How threads divide it.
    pub tuning: Tuning,
}

pub(super) fn of(gemv: &Gemv) -> Kernel {
    gemv.kernel("gated_matvec", "", gemv.shader("gated_matvec"), Variant::GatedMatvec(*gemv))
}

/// The kernel for `m` rows of inputs and a matrix.
pub fn kernel(weight: (Layout, MatrixShape), m: usize, norm: bool, tuning: Tuning) -> Kernel {
    of(&Gemv::new(weight, m, 2, norm, tuning))
}

/// Whether a launch can do it on a device that binds at most `limit` storage buffers: the matrix is in one part, and no group of
/// four rows belongs to the gate and to up.
pub fn can_fuse(weight: &Weight, norm: bool, limit: usize) -> bool {
    let one = weight.parts.len() == 1 && weight.shape.rows.is_multiple_of(2 * ROW_GROUP);
    one && bindings(2, norm, weight.layout) <= limit
}

/// Records it, where [`can_fuse`] says so.
///
/// # Errors
/// As [`Recording::dispatch`].
pub fn record(recording: &mut Recording, gated: &GatedMatvec<'_>) -> Result<()> {
    let Weight { layout, shape, .. } = *gated.weight;
    record_as(&Gemv::new((layout, shape), gated.m, 2, gated.norm.is_some(), gated.tuning), recording, gated)
}

/// As [`record`], by a kernel that is chosen already.
///
/// # Errors
/// As [`Recording::dispatch`].
pub fn record_as(gemv: &Gemv, recording: &mut Recording, gated: &GatedMatvec<'_>) -> Result<()> {
    let Weight { shape, ref parts, .. } = *gated.weight;
    let n = shape.rows / 2;
    let params = Params {
        m: gated.m as u32,
        k4: (shape.cols / 4) as u32,
        blocks: shape.blocks() as u32,
        tiles: groups(n) as u32,
        eps: gated.norm.map_or(0.0, |norm| norm.eps),
        activation: activation_id(gated.activation),
        padding: [0; 2],
    };
    let norm = gated.norm.map(|norm| norm.weight);
    let planes = parts.iter().flat_map(|part| &part.planes);
    recording.dispatch(Dispatch {
        kernel: of(gemv),
        params: params_of(&params),
        buffers: [gated.x, gated.y].into_iter().chain(norm).chain(planes).cloned().collect(),
        grid: gemv.grid(gated.m, groups(n)),
        note: format!("m={} n={n} k={} {:?}", gated.m, shape.cols, gated.activation),
    })
}
