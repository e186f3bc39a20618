//! Rotary embedding by a ready table of angles: decoder, `YaRN` and the tower's two-dimensional kind alike.

use super::{Variant, linear_grid, params_of, plain};
use crate::config::RopePairs;
use crate::error::Result;
use crate::gpu::{Dispatch, Kernel, Recording, Slice};

#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    tokens: u32,
    heads: u32,
    q_heads: u32,
    pairs: u32,
    stride: u32,
    interleaved: u32,
    padding: [u32; 2],
}

/// The heads of a row of `qkv`: queries first, then keys.
#[derive(Debug, Clone, Copy)]
pub struct Heads {
    /// Query heads.
    pub q: usize,
    /// Key heads.
    pub k: usize,
    /// Width of a head.
    pub dim: usize,
    /// Which lanes of a head form a pair.
    pub pairs: RopePairs,
}

/// The kernel.
pub fn kernel() -> Kernel {
    plain("rope", Variant::Rope)
}

/// Records the rotation of all query and key heads in place, and the scaling of the queries.
///
/// `qkv`: `// [tokens, stride]`; `angles`: `// [tokens, dim / 2, (cos, sin)]`; `q_scale`: `// [tokens]`.
///
/// # Errors
/// As [`Recording::dispatch`].
pub fn record(
    recording: &mut Recording,
    heads: Heads,
    (tokens, stride): (usize, usize),
    qkv: &Slice,
    angles: &Slice,
    q_scale: &Slice,
) -> Result<()> {
    let pairs = heads.dim / 2;
    let params = Params {
        tokens: tokens as u32,
        heads: (heads.q + heads.k) as u32,
        q_heads: heads.q as u32,
        pairs: pairs as u32,
        stride: stride as u32,
        interleaved: (heads.pairs == RopePairs::Interleaved).into(),
        padding: [0; 2],
    };
    recording.dispatch(Dispatch {
        kernel: kernel(),
        params: params_of(&params),
        buffers: vec![qkv.clone(), angles.clone(), q_scale.clone()],
        grid: linear_grid(tokens * (heads.q + heads.k) * pairs),
        note: format!("tokens={tokens} heads={}+{} dim={}", heads.q, heads.k, heads.dim),
    })
}
