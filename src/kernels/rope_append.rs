//! Rotary embedding of new queries and keys, and the keys and values into the cache, at a position only the GPU knows.
//!
//! A cache of floats holds the nearest, one of integers 127 steps either way of the largest number of a head's keys or values.
//! Numbers beyond 65504, or beyond 127 times that, are cut to it.
//!
//! The words of the step are those of [`cache`](mod@super::cache).

use super::cache::{Cache, cache_file};
use super::{Variant, folded_grid, params};
use crate::config::{KvPrecision, RopePairs};
use crate::error::Result;
use crate::gpu::{Dispatch, Features, Kernel, Recording, Slice};
pub use crate::reference::rope_append::Heads;
use crate::shader::Shader;

/// Words of a row of the rope table in `step`.
pub fn table_stride(head_dim: usize) -> usize {
    head_dim + 4
}

/// New tokens whose queries, keys and values are ready but for the rotation.
#[derive(Debug)]
pub struct RopeAppend<'a> {
    /// Queries, which are rotated and scaled in place, keys and values. `// [tokens, (q + 2 * kv) * dim]`
    pub qkv: &'a Slice,
    /// New tokens.
    pub tokens: usize,
    /// How a row divides into heads.
    pub heads: Heads,
    /// The step's words.
    pub step: &'a Slice,
    /// Where rotated keys and values go.
    pub cache: &'a Cache,
}

/// The kernel for heads of a width and a precision of the cache.
pub fn kernel((head_dim, pairs): (usize, RopePairs), precision: KvPrecision) -> Kernel {
    let shader = Shader::new("rope_append").choose("CACHE", cache_file(precision)).set_all([
        ("HEAD_DIM4", head_dim / 4),
        ("INTERLEAVED", (pairs == RopePairs::Interleaved).into()),
        ("SHARED_SCALE", (precision == KvPrecision::Int8).into()),
    ]);
    let variant = Variant::RopeAppend { head_dim, pairs, precision };
    Kernel::new(format!("rope_append<{head_dim},{precision}>"), Features::NONE, shader, variant)
}

/// Records the rotation, and the copy with its rounding.
pub fn record(recording: &mut Recording, append: &RopeAppend<'_>) -> Result<()> {
    let &RopeAppend { qkv, tokens, heads, step, cache } = append;
    recording.dispatch(Dispatch {
        kernel: kernel((heads.dim, heads.pairs), cache.precision),
        params: params!(tokens, q_heads = heads.q, kv_heads = heads.kv),
        buffers: [qkv].into_iter().chain(cache.bindings(step)).cloned().collect(),
        grid: folded_grid(tokens * (heads.q + heads.kv)),
        note: format!("tokens={tokens} heads={}+{} dim={}", heads.q, heads.kv, heads.dim),
    })
}
