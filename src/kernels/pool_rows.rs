//! Means of runs of rows, normed: the pooling of Gemma 4's tower (`transformers` `modeling_gemma4.py`).

use super::{RowShape, params, plain};
use crate::error::Result;
use crate::gpu::{Dispatch, Kernel, Recording, Slice};

/// The kernel.
pub fn kernel() -> Kernel {
    plain("pool_rows")
}

/// Records `y = norm(mean of count rows)`. `x`: `// [shape.rows * count, shape.width]`; `y`: `// [shape.rows, shape.width]`.
pub fn record(
    recording: &mut Recording,
    RowShape { rows, width }: RowShape,
    (count, eps): (usize, f32),
    x: &Slice,
    y: &Slice,
) -> Result<()> {
    recording.dispatch(Dispatch {
        kernel: kernel(),
        params: params!(width4 = width / 4, count, eps),
        buffers: vec![x.clone(), y.clone()],
        grid: [rows as u32, 1, 1],
        note: format!("rows={rows} width={width} count={count}"),
    })
}
