//! Squares of patches gathered to rows, in the order of torch's `unfold` (`transformers` `modeling_mistral3.py`).

use std::ops::Range;

use super::{linear_grid, params, plain};
use crate::error::Result;
use crate::gpu::{Dispatch, Kernel, Recording, Slice};
pub use crate::reference::patch_merge::Squares;

/// The kernel.
pub fn kernel() -> Kernel {
    plain("patch_merge")
}

/// Records the gathering of the merged tokens `range`.
///
/// `x`: `// [rows * merge * columns * merge, channels]`; `y`: `// [range, channels * merge * merge]`.
pub fn record(recording: &mut Recording, squares: Squares, range: Range<usize>, x: &Slice, y: &Slice) -> Result<()> {
    let Squares { columns, merge, channels } = squares;
    recording.dispatch(Dispatch {
        kernel: kernel(),
        params: params!(tokens = range.len(), columns, merge, channels, first = range.start),
        buffers: vec![x.clone(), y.clone()],
        grid: linear_grid(range.len() * channels * merge * merge),
        note: format!("tokens={range:?} columns={columns} merge={merge} channels={channels}"),
    })
}
