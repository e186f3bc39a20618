//! Columns of rows clamped between two numbers: the clipped products of Gemma 4's tower (`transformers` `modeling_gemma4.py`).

use super::{RowShape, linear_grid, params, plain};
use crate::error::Result;
use crate::gpu::{Dispatch, Kernel, Recording, Slice};
pub use crate::reference::gate_rows::RowPart;

/// The kernel.
pub fn kernel() -> Kernel {
    plain("clamp")
}

/// Records `x = min(max(x, low), high)`. `x`: `// [rows, part.stride]`; `bounds`: low and high, `// [1]` each.
pub fn record(
    recording: &mut Recording,
    RowShape { rows, width }: RowShape,
    (x, RowPart { stride, offset }): (&Slice, RowPart),
    bounds: [&Slice; 2],
) -> Result<()> {
    recording.dispatch(Dispatch {
        kernel: kernel(),
        params: params!(rows, width, stride, offset),
        buffers: [x].into_iter().chain(bounds).cloned().collect(),
        grid: linear_grid(rows * width),
        note: format!("rows={rows} width={width} of {stride}"),
    })
}
