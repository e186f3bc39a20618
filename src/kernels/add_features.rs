//! Features of pictures added to the residual stream after a decoder layer (DeepStack).

use super::{RowShape, linear_grid, params, plain};
use crate::error::Result;
use crate::gpu::{Dispatch, Kernel, Recording, Slice};

/// The kernel.
pub fn kernel() -> Kernel {
    plain("add_features")
}

/// Records `x[t] += features[row + offset]` for every token whose source is a row of the features.
///
/// `sources`: `// [tokens]`, in the format of [`embed_rows`](super::embed_rows); `features`: `// [rows, width]`; `x`: `// [tokens, width]`.
pub fn record(
    recording: &mut Recording,
    RowShape { rows: tokens, width }: RowShape,
    offset: usize,
    [sources, features]: [&Slice; 2],
    x: &Slice,
) -> Result<()> {
    recording.dispatch(Dispatch {
        kernel: kernel(),
        params: params!(tokens, width4 = width / 4, offset),
        buffers: [sources, features, x].map(Slice::clone).into(),
        grid: linear_grid(tokens * width / 4),
        note: format!("tokens={tokens} width={width} offset={offset}"),
    })
}
