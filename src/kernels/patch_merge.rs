//! Squares of patches to rows, in the order of torch's `unfold` (`transformers` `modeling_mistral3.py`).

use super::{linear_grid, params_of, plain};
use crate::error::Result;
use crate::gpu::{Access, Dispatch, Kernel, Recording, Slice};

#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    tokens: u32,
    columns: u32,
    merge: u32,
    channels: u32,
}

/// The kernel.
pub fn kernel() -> Kernel {
    plain("patch_merge", include_str!("../../shaders/patch_merge.wgsl"), &[Access::Read, Access::ReadWrite])
}

/// Records the gathering of a grid of `rows x columns` merged tokens.
///
/// `x`: `// [rows * merge * columns * merge, channels]`; `y`: `// [rows * columns, channels * merge * merge]`.
///
/// # Errors
/// As [`Recording::dispatch`].
pub fn record(
    recording: &mut Recording,
    (rows, columns): (usize, usize),
    merge: usize,
    channels: usize,
    x: &Slice,
    y: &Slice,
) -> Result<()> {
    let tokens = rows * columns;
    let params =
        Params { tokens: tokens as u32, columns: columns as u32, merge: merge as u32, channels: channels as u32 };
    recording.dispatch(Dispatch {
        kernel: kernel(),
        params: params_of(&params),
        buffers: vec![x.clone(), y.clone()],
        grid: linear_grid(tokens * channels * merge * merge),
        note: format!("grid={rows}x{columns} merge={merge} channels={channels}"),
    })
}
