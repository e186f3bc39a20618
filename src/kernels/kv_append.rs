//! New keys and values into the cache.

use super::{linear_grid, params_of, plain};
use crate::error::Result;
use crate::gpu::{Access, Dispatch, Kernel, Recording, Slice};

#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    tokens: u32,
    width4: u32,
    stride4: u32,
    k_offset4: u32,
    past: u32,
    padding: [u32; 3],
}

/// Where the new keys and values are, and where they go. Widths are multiples of 4.
#[derive(Debug, Clone, Copy)]
pub struct Append {
    /// New tokens.
    pub tokens: usize,
    /// Tokens in the cache before them.
    pub past: usize,
    /// Width of the keys of a token, and of its values.
    pub width: usize,
    /// Width of a row of `qkv`.
    pub stride: usize,
    /// Column of the keys in it; the values follow them.
    pub k_offset: usize,
}

/// The kernel.
pub fn kernel() -> Kernel {
    let bindings = [Access::Read, Access::ReadWrite, Access::ReadWrite];
    plain("kv_append", include_str!("../../shaders/kv_append.wgsl"), &bindings)
}

/// Records the copy. `qkv`: `// [tokens, stride]`; `k_cache`, `v_cache`: `// [capacity, width]`.
///
/// # Errors
/// As [`Recording::dispatch`].
pub fn record(recording: &mut Recording, append: Append, qkv: &Slice, k_cache: &Slice, v_cache: &Slice) -> Result<()> {
    let Append { tokens, past, width, stride, k_offset } = append;
    let params = Params {
        tokens: tokens as u32,
        width4: (width / 4) as u32,
        stride4: (stride / 4) as u32,
        k_offset4: (k_offset / 4) as u32,
        past: past as u32,
        padding: [0; 3],
    };
    recording.dispatch(Dispatch {
        kernel: kernel(),
        params: params_of(&params),
        buffers: vec![qkv.clone(), k_cache.clone(), v_cache.clone()],
        grid: linear_grid(tokens * width / 4),
        note: format!("tokens={tokens} past={past} width={width}"),
    })
}
