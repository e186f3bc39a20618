//! New keys and values into the cache.

use super::{folded_grid, params_of};
use crate::config::KvPrecision;
use crate::error::Result;
use crate::gpu::{Access, Dispatch, Kernel, Recording, Slice};

#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    tokens: u32,
    kv_heads: u32,
    stride4: u32,
    k_offset4: u32,
    past: u32,
    padding: [u32; 3],
}

/// The cache of one layer, as kernels bind it.
#[derive(Debug, Clone)]
pub struct Cache {
    /// How it holds a number.
    pub precision: KvPrecision,
    /// Keys, values, and of 8-bit integers a word with the 16-bit scale of a head's keys in its lower half and of its values in
    /// its upper. `// [capacity, kv_heads, head_dim]` twice, `// [capacity, kv_heads]`
    pub planes: Vec<Slice>,
}

/// Where the new keys and values are, and where they go.
#[derive(Debug, Clone, Copy)]
pub struct Append {
    /// New tokens.
    pub tokens: usize,
    /// Tokens in the cache before them.
    pub past: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of a head; a multiple of 4, at most [`crate::config::MAX_HEAD_DIM`].
    pub head_dim: usize,
    /// Width of a row of `qkv`; a multiple of 4.
    pub stride: usize,
    /// Column of the keys in it, a multiple of 4; the values follow them.
    pub k_offset: usize,
}

/// The kernel for a head width and a precision.
pub fn kernel(head_dim: usize, precision: KvPrecision) -> Kernel {
    let half = include_str!("../../shaders/shared/half.wgsl");
    let f32 = include_str!("../../shaders/shared/kv_write_f32.wgsl");
    let f16 = include_str!("../../shaders/shared/kv_write_f16.wgsl");
    let int8 = include_str!("../../shaders/shared/kv_write_int8.wgsl");
    let (snippets, planes) = match precision {
        KvPrecision::F32 => (vec![f32], 2),
        KvPrecision::F16 => (vec![half, f16], 2),
        KvPrecision::Int8 => (vec![half, int8], 3),
    };
    let constants = format!("const HEAD_DIM4: u32 = {}u;\n", head_dim / 4);
    let shader = include_str!("../../shaders/kv_append.wgsl");
    let parts = snippets.into_iter().chain([shader]).map(Into::into);
    Kernel {
        name: format!("kv_append<{head_dim},{precision}>").into(),
        wgsl: [constants.into()].into_iter().chain(parts).collect(),
        bindings: [Access::Read].into_iter().chain(std::iter::repeat_n(Access::ReadWrite, planes)).collect(),
    }
}

/// Records the copy, and the rounding where the cache is not of 32-bit floats: to the nearest 16-bit float, or to 127 steps either
/// way of the largest number of a head's keys or values. Numbers beyond 65504, or beyond 127 times that, are cut to it.
/// `qkv`: `// [tokens, stride]`.
///
/// # Errors
/// As [`Recording::dispatch`].
pub fn record(recording: &mut Recording, append: Append, qkv: &Slice, cache: &Cache) -> Result<()> {
    let Append { tokens, past, kv_heads, head_dim, stride, k_offset } = append;
    let params = Params {
        tokens: tokens as u32,
        kv_heads: kv_heads as u32,
        stride4: (stride / 4) as u32,
        k_offset4: (k_offset / 4) as u32,
        past: past as u32,
        padding: [0; 3],
    };
    recording.dispatch(Dispatch {
        kernel: kernel(head_dim, cache.precision),
        params: params_of(&params),
        buffers: [qkv].into_iter().chain(&cache.planes).cloned().collect(),
        grid: folded_grid(tokens * kv_heads),
        note: format!("tokens={tokens} past={past} heads={kv_heads}"),
    })
}
