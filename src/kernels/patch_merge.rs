//! Squares of patches to rows, in the order of torch's `unfold` (`transformers` `modeling_mistral3.py`).

use std::ops::Range;

use super::{Variant, linear_grid, params_of, plain};
use crate::error::Result;
use crate::gpu::{Dispatch, Kernel, Recording, Slice};

#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    tokens: u32,
    columns: u32,
    merge: u32,
    channels: u32,
    first: u32,
    padding: [u32; 3],
}

/// The kernel.
pub fn kernel() -> Kernel {
    plain("patch_merge", Variant::PatchMerge)
}

/// Squares of patches.
#[derive(Debug, Clone, Copy)]
pub struct Squares {
    /// Merged tokens in a row of the picture.
    pub columns: usize,
    /// Side of a square in patches.
    pub merge: usize,
    /// Width of a patch's row.
    pub channels: usize,
}

/// Records the gathering of the merged tokens `range`.
///
/// `x`: `// [rows * merge * columns * merge, channels]`; `y`: `// [range, channels * merge * merge]`.
///
/// # Errors
/// As [`Recording::dispatch`].
pub fn record(recording: &mut Recording, squares: Squares, range: Range<usize>, x: &Slice, y: &Slice) -> Result<()> {
    let Squares { columns, merge, channels } = squares;
    let params = Params {
        tokens: range.len() as u32,
        columns: columns as u32,
        merge: merge as u32,
        channels: channels as u32,
        first: range.start as u32,
        padding: [0; 3],
    };
    recording.dispatch(Dispatch {
        kernel: kernel(),
        params: params_of(&params),
        buffers: vec![x.clone(), y.clone()],
        grid: linear_grid(range.len() * channels * merge * merge),
        note: format!("tokens={range:?} columns={columns} merge={merge} channels={channels}"),
    })
}
