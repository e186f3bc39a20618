//! Means of runs of rows, as they are or normed: the pooling of towers (`transformers` `modeling_gemma4.py`, `modeling_minicpmv4_6.py`).

use super::{RowShape, params, plain};
use crate::error::Result;
use crate::gpu::{Dispatch, Kernel, Recording, Slice};

/// The kernel.
pub fn kernel() -> Kernel {
    plain("pool_rows")
}

/// Records `y = mean of count rows`, normed if there is an epsilon. `x`: `// [shape.rows * count, shape.width]`; `y`: `// [shape.rows, shape.width]`.
pub fn record(
    recording: &mut Recording,
    RowShape { rows, width }: RowShape,
    (count, eps): (usize, Option<f32>),
    x: &Slice,
    y: &Slice,
) -> Result<()> {
    recording.dispatch(Dispatch {
        kernel: kernel(),
        params: params!(width4 = width / 4, count, eps = eps.unwrap_or(1.0), normed = eps.is_some()),
        buffers: vec![x.clone(), y.clone()],
        grid: [rows as u32, 1, 1],
        note: format!("rows={rows} width={width} count={count}"),
    })
}
