//! Rotary embedding of new queries and keys, and the keys and values into the cache, at a position only the GPU knows.
//!
//! A cache of floats holds the nearest, one of integers 127 steps either way of the largest number of a head's keys or values.
//! Numbers beyond 65504, or beyond 127 times that, are cut to it.
//!
//! The words of the step are those of [`cache`](mod@super::cache).

use super::cache::{Cache, cache_file};
use super::{Variant, folded_grid, params};
use crate::config::KvPrecision;
use crate::error::Result;
use crate::gpu::{Dispatch, Features, Kernel, Recording, Slice};
pub use crate::reference::rope_append::Heads;
use crate::shader::Shader;
use crate::weights::layout::LaneLayout;

/// Words of a row of the rope table in `step`.
pub fn table_stride(head_dim: usize) -> usize {
    head_dim + 4
}

/// A row of the rope table: the cosines of all pairs, their sines, the scale of queries, three numbers nobody reads.
///
/// `rotations`: `// [head_dim / 2, (cos, sin)]`
pub fn table_row(rotations: &[[f32; 2]], scale: f32) -> impl Iterator<Item = f32> {
    let parts = [0, 1].into_iter().flat_map(|part| rotations.iter().map(move |rotation| rotation[part]));
    parts.chain([scale, f32::NAN, f32::NAN, f32::NAN])
}

/// New tokens whose queries, keys and values are ready but for the rotation.
#[derive(Debug)]
pub struct RopeAppend<'a> {
    /// Queries, which are rotated and scaled in place, keys and values. `// [tokens, stride]`
    pub qkv: &'a Slice,
    /// Width of a row, at least `(q + 2 * kv) * dim`, a multiple of 4.
    pub stride: usize,
    /// New tokens.
    pub tokens: usize,
    /// How a row divides into heads.
    pub heads: Heads,
    /// How queries lie in memory afterwards.
    pub q_layout: LaneLayout,
    /// Norms before the rotation, if there are any.
    pub norms: Option<&'a HeadNorms>,
    /// The step's words.
    pub step: &'a Slice,
    /// Where rotated keys and values go.
    pub cache: &'a Cache,
}

/// Root-mean-square norms of the queries and the keys of every head.
#[derive(Debug)]
pub struct HeadNorms {
    /// What normed queries are multiplied by. `// [dim]`
    pub q: Slice,
    /// What normed keys are multiplied by. `// [dim]`
    pub k: Slice,
    /// Added to the mean square.
    pub eps: f32,
}

/// The kernel for heads of a width, normed or not, and a precision of the cache.
pub fn kernel(head_dim: usize, has_norms: bool, precision: KvPrecision) -> Kernel {
    let shader = Shader::new("rope_append").choose("CACHE", cache_file(precision)).set_all([
        ("HEAD_DIM4", head_dim / 4),
        ("SHARED_SCALE", (precision == KvPrecision::Int8).into()),
        ("NORM", has_norms.into()),
    ]);
    let variant = Variant::RopeAppend { head_dim, has_norms, precision };
    let norm = if has_norms { ",norm" } else { "" };
    Kernel::new(format!("rope_append<{head_dim},{precision}{norm}>"), Features::NONE, shader, variant)
}

/// Records the rotation, and the copy with its rounding.
pub fn record(recording: &mut Recording, append: &RopeAppend<'_>) -> Result<()> {
    let &RopeAppend { qkv, stride, tokens, heads, q_layout, norms, step, cache } = append;
    let eps = norms.map_or(0.0, |norms| norms.eps);
    let gains = norms.into_iter().flat_map(|norms| [&norms.q, &norms.k]);
    recording.dispatch(Dispatch {
        kernel: kernel(heads.dim, norms.is_some(), cache.precision),
        params: params!(
            tokens,
            q_heads = heads.q,
            kv_heads = heads.kv,
            stride4 = stride / 4,
            apart = heads.pairs.apart(heads.dim),
            eps,
            q_layout = q_layout.log_loads(),
        ),
        buffers: [qkv].into_iter().chain(gains).chain(cache.bindings(step)).cloned().collect(),
        grid: folded_grid(tokens * (heads.q + heads.kv)),
        note: format!("tokens={tokens} heads={}+{} dim={}", heads.q, heads.kv, heads.dim),
    })
}
