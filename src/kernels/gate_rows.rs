//! The gate of per-layer inputs: `gemma4` of `transformers` `modeling_gemma4.py` multiplies it by a part of a wider row.

use super::{RowShape, linear_grid, params, plain};
use crate::config::Activation;
use crate::error::Result;
use crate::gpu::{Dispatch, Kernel, Recording, Slice};
use crate::layout::LaneLayout;
pub use crate::reference::gate_rows::RowPart;

/// The kernel.
pub fn kernel() -> Kernel {
    plain("gate_rows")
}

/// Records `y = act(gate) * factors`; an offset beyond the first row skips rows of factors. `gate`: `// [rows, width]`; `factors`:
/// `// [rows, part.stride]`; `y`: `// [rows, width]`, in `lane_layout`.
pub fn record(
    recording: &mut Recording,
    RowShape { rows, width }: RowShape,
    activation: Activation,
    gate: &Slice,
    (factors, RowPart { stride, offset }): (&Slice, RowPart),
    (y, lane_layout): (&Slice, LaneLayout),
) -> Result<()> {
    recording.dispatch(Dispatch {
        kernel: kernel(),
        params: params!(rows, width, activation, stride, offset, lane_layout = lane_layout.word()),
        buffers: vec![gate.clone(), factors.clone(), y.clone()],
        grid: linear_grid(rows * width),
        note: format!("rows={rows} width={width} of {stride} {activation:?}"),
    })
}
