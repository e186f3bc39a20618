//! A learned table of positions, resampled to a picture and added to its patches.

use std::ops::Range;

use super::{linear_grid, params, plain};
use crate::error::Result;
use crate::gpu::{Dispatch, Kernel, Recording, Slice};
pub use crate::reference::position_rows::{Grid, PositionTable};

/// The kernel.
pub fn kernel() -> Kernel {
    plain("position_rows")
}

/// Records the addition to the patches `range` of a picture.
///
/// `table`: `// [side, side, width]`; `x`: `// [range, width]`.
pub fn record(
    recording: &mut Recording,
    grid: Grid,
    range: Range<usize>,
    PositionTable { side, width }: PositionTable,
    table: &Slice,
    x: &Slice,
) -> Result<()> {
    let Grid { rows, columns, merge } = grid;
    recording.dispatch(Dispatch {
        kernel: kernel(),
        params: params!(patches = range.len(), first = range.start, rows, columns, merge, side, width4 = width / 4),
        buffers: vec![table.clone(), x.clone()],
        grid: linear_grid(range.len() * width / 4),
        note: format!("{rows}x{columns} side={side} width={width} {range:?}"),
    })
}
