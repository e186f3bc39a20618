//! Grouped-query attention with an online softmax (<https://arxiv.org/abs/2205.14135>): causal over a cache for the decoder,
//! over all patches of a picture for the tower.

use super::{params_of, plain};
use crate::error::Result;
use crate::gpu::{Access, Dispatch, Kernel, Recording, Slice};

#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    q_tokens: u32,
    kv_tokens: u32,
    group: u32,
    past: u32,
    causal: u32,
    scale: f32,
    q_stride4: u32,
    q_offset4: u32,
    k_stride4: u32,
    k_offset4: u32,
    v_stride4: u32,
    v_offset4: u32,
    out_stride4: u32,
    padding: [u32; 3],
}

/// A matrix of heads: where its rows lie in a buffer. Widths are multiples of 4.
#[derive(Debug, Clone)]
pub struct Heads {
    /// The buffer. `// [tokens, stride]`
    pub buffer: Slice,
    /// Width of a row.
    pub stride: usize,
    /// Column of the first head.
    pub offset: usize,
}

/// One attention.
#[derive(Debug)]
pub struct Attention<'a> {
    /// Queries. `// [q_tokens, q_heads, head_dim]`
    pub q: &'a Heads,
    /// Keys. `// [kv_tokens, kv_heads, head_dim]`
    pub k: &'a Heads,
    /// Values. `// [kv_tokens, kv_heads, head_dim]`
    pub v: &'a Heads,
    /// Results. `// [q_tokens, q_heads * head_dim]`
    pub out: &'a Slice,
    /// Rows of `q`.
    pub q_tokens: usize,
    /// Rows of `k` and `v`.
    pub kv_tokens: usize,
    /// Query heads; a multiple of `kv_heads`.
    pub q_heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of a head; a multiple of 4, at most [`crate::config::MAX_HEAD_DIM`].
    pub head_dim: usize,
    /// Position of the first query if the attention is causal; `None` if every query sees every key.
    pub causal_past: Option<usize>,
}

/// How the kernel's 64 threads share the work, by head width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tiling {
    /// Query rows of a workgroup.
    rows: usize,
    /// Threads of a row.
    lanes: usize,
    /// Keys seen at a time.
    tile: usize,
}

/// Workgroup memory stays within 16 KiB: rows and keys of a tile take `(rows + tile) * head_dim * 4` bytes.
fn tiling(head_dim: usize) -> Tiling {
    match head_dim {
        0..=64 => Tiling { rows: 16, lanes: 4, tile: 16 },
        65..=128 => Tiling { rows: 16, lanes: 4, tile: 8 },
        _ => Tiling { rows: 8, lanes: 8, tile: 4 },
    }
}

/// The kernel for a head width.
pub fn kernel(head_dim: usize) -> Kernel {
    let Tiling { rows, lanes, tile } = tiling(head_dim);
    let dim4 = head_dim / 4;
    let constants = format!(
        "const HEAD_DIM4: u32 = {dim4}u;\nconst ROWS: u32 = {rows}u;\nconst LANES: u32 = {lanes}u;\n\
         const TILE: u32 = {tile}u;\nconst CHUNK: u32 = {}u;\n",
        dim4.div_ceil(lanes)
    );
    let bindings = [Access::Read, Access::Read, Access::Read, Access::ReadWrite];
    let mut kernel = plain("attention", include_str!("../../shaders/attention.wgsl"), &bindings);
    kernel.name = format!("attention<{head_dim}>").into();
    kernel.wgsl.insert(0, constants.into());
    kernel
}

/// Records the attention, scaled by `head_dim^-0.5`.
///
/// # Errors
/// As [`Recording::dispatch`].
pub fn record(recording: &mut Recording, a: &Attention<'_>) -> Result<()> {
    let group = a.q_heads / a.kv_heads;
    let quarter = |width: usize| (width / 4) as u32;
    let params = Params {
        q_tokens: a.q_tokens as u32,
        kv_tokens: a.kv_tokens as u32,
        group: group as u32,
        past: a.causal_past.unwrap_or(0) as u32,
        causal: a.causal_past.is_some().into(),
        scale: (a.head_dim as f32).sqrt().recip(),
        q_stride4: quarter(a.q.stride),
        q_offset4: quarter(a.q.offset),
        k_stride4: quarter(a.k.stride),
        k_offset4: quarter(a.k.offset),
        v_stride4: quarter(a.v.stride),
        v_offset4: quarter(a.v.offset),
        out_stride4: quarter(a.q_heads * a.head_dim),
        padding: [0; 3],
    };
    recording.dispatch(Dispatch {
        kernel: kernel(a.head_dim),
        params: params_of(&params),
        buffers: [&a.q.buffer, &a.k.buffer, &a.v.buffer, a.out].map(Slice::clone).to_vec(),
        grid: [(a.q_tokens * group).div_ceil(tiling(a.head_dim).rows) as u32, a.kv_heads as u32, 1],
        note: format!("q={} kv={} heads={}/{}", a.q_tokens, a.kv_tokens, a.q_heads, a.kv_heads),
    })
}
