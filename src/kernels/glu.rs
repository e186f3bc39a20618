//! The gate of a gated feed-forward (<https://arxiv.org/abs/2002.05202>); with silu it is `SwiGLU`.

use super::{RowShape, linear_grid, params, plain};
use crate::config::Activation;
use crate::error::Result;
use crate::gpu::{Dispatch, Kernel, Recording, Slice};
use crate::layout::LaneLayout;

/// The kernel.
pub fn kernel() -> Kernel {
    plain("glu")
}

/// Records `y = act(gate) * up`. `gate_up`: `// [rows, 2 * width]`, gate first; `y`: `// [rows, width]`, in `lane_layout`.
pub fn record(
    recording: &mut Recording,
    RowShape { rows, width }: RowShape,
    activation: Activation,
    gate_up: &Slice,
    (y, lane_layout): (&Slice, LaneLayout),
) -> Result<()> {
    recording.dispatch(Dispatch {
        kernel: kernel(),
        params: params!(rows, width, activation, lane_layout = lane_layout.word()),
        buffers: vec![gate_up.clone(), y.clone()],
        grid: linear_grid(rows * width),
        note: format!("rows={rows} width={width} {activation:?}"),
    })
}
