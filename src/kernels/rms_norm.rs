//! Root-mean-square norm of rows (<https://arxiv.org/abs/1910.07467>).

use super::{params_of, plain};
use crate::error::Result;
use crate::gpu::{Access, Dispatch, Kernel, Recording, Slice};

#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    width4: u32,
    eps: f32,
    padding: [u32; 2],
}

/// The kernel.
pub fn kernel() -> Kernel {
    plain("rms_norm", include_str!("../../shaders/rms_norm.wgsl"), &[Access::Read, Access::ReadWrite, Access::Read])
}

/// Records `y = x / sqrt(mean(x^2) + eps) * weight` for rows of `width`, a multiple of 4.
///
/// `x`, `y`: `// [rows, width]`; `weight`: `// [width]`.
///
/// # Errors
/// As [`Recording::dispatch`].
pub fn record(
    recording: &mut Recording,
    (rows, width): (usize, usize),
    eps: f32,
    x: &Slice,
    weight: &Slice,
    y: &Slice,
) -> Result<()> {
    let params = Params { width4: (width / 4) as u32, eps, padding: [0; 2] };
    recording.dispatch(Dispatch {
        kernel: kernel(),
        params: params_of(&params),
        buffers: vec![x.clone(), y.clone(), weight.clone()],
        grid: [rows as u32, 1, 1],
        note: format!("rows={rows} width={width}"),
    })
}
