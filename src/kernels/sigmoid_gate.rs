//! Numbers times the sigmoid of a gate.

use super::{linear_grid, params, plain};
use crate::error::Result;
use crate::gpu::{Dispatch, Kernel, Recording, Slice};

/// The kernel.
pub fn kernel() -> Kernel {
    plain("sigmoid_gate")
}

/// Records `x = x * sigmoid(gate)`, in place.
///
/// `x`: `// [rows, width]`; `gates`: `// [rows, stride]`, from column `offset` on.
pub fn record(
    recording: &mut Recording,
    (rows, width): (usize, usize),
    x: &Slice,
    (gates, stride, offset): (&Slice, usize, usize),
) -> Result<()> {
    recording.dispatch(Dispatch {
        kernel: kernel(),
        params: params!(len = rows * width, width, stride, offset),
        buffers: [x, gates].map(Slice::clone).into(),
        grid: linear_grid(rows * width),
        note: format!("rows={rows} width={width}"),
    })
}
