//! Layer norm of rows (<https://arxiv.org/abs/1607.06450>).

use super::{RowShape, params, plain};
use crate::error::Result;
use crate::gpu::{Dispatch, Kernel, Recording, Slice};

/// The kernel.
pub fn kernel() -> Kernel {
    plain("layer_norm")
}

/// Records `y = (x - mean(x)) / sqrt(variance(x) + eps) * weight + bias` for rows whose width is a multiple of 4.
///
/// `x`, `y`: `// [rows, width]`; `weight`, `bias`: `// [width]`.
pub fn record(
    recording: &mut Recording,
    RowShape { rows, width }: RowShape,
    eps: f32,
    x: &Slice,
    [weight, bias]: [&Slice; 2],
    y: &Slice,
) -> Result<()> {
    recording.dispatch(Dispatch {
        kernel: kernel(),
        params: params!(width4 = width / 4, eps),
        buffers: [x, y, weight, bias].map(Slice::clone).into(),
        grid: [rows as u32, 1, 1],
        note: format!("rows={rows} width={width}"),
    })
}
