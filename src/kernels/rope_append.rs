//! Rotary embedding of new queries and keys, and the append of keys and values to the cache, at a position that only the GPU knows.
//!
//! A float cache rounds to the nearest number, an integer cache to 127 steps on either side of zero, scaled by the largest number of a
//! head's keys or values. Numbers beyond 65504, or beyond 127 times that, are clamped.
//!
//! The words of the step buffer are listed in [`cache`](mod@super::cache).

use super::cache::{Cache, cache_file};
use super::{Variant, folded_grid, params};
use crate::config::KvPrecision;
use crate::error::Result;
use crate::gpu::{Dispatch, Features, Kernel, Recording, Slice};
use crate::layout::LaneLayout;
pub use crate::reference::rope_append::{HeadValues, Heads, RopeChoice};
use crate::shader::Shader;

/// Words of a row of the rope table.
pub fn table_stride(head_dim: usize) -> usize {
    head_dim + 4
}

/// A row of the rope table: the cosines of all pairs, their sines, the scale of queries, three words of padding.
///
/// `rotations`: `// [head_dim / 2, (cos, sin)]`
pub fn table_row(rotations: &[[f32; 2]], scale: f32) -> impl Iterator<Item = f32> {
    let parts = [0, 1].into_iter().flat_map(|part| rotations.iter().map(move |rotation| rotation[part]));
    parts.chain([scale, f32::NAN, f32::NAN, f32::NAN])
}

/// Arguments of a launch for new tokens.
#[derive(Debug)]
pub struct RopeAppend<'a> {
    /// Queries, keys and values; queries are rotated and scaled in place. `// [tokens, stride]`
    pub qkv: &'a Slice,
    /// Width of a row, at least that of all heads, a multiple of 4.
    pub stride: usize,
    /// New tokens.
    pub tokens: usize,
    /// Division of a row into heads.
    pub heads: Heads,
    /// Lane layout of the rotated queries.
    pub q_layout: LaneLayout,
    /// Norms before the rotation, if any.
    pub norms: Option<&'a HeadNorms>,
    /// The rope of this layer, of those in the step's table.
    pub rope: RopeChoice,
    /// The step buffer.
    pub step: &'a Slice,
    /// The cache that rotated keys and values are appended to.
    pub cache: &'a Cache,
}

/// Root-mean-square norms of every head.
#[derive(Debug)]
pub struct HeadNorms {
    /// Weight of the norm of queries. `// [dim]`
    pub q: Slice,
    /// Weight of the norm of keys. `// [dim]`
    pub k: Slice,
    /// Added to the mean square.
    pub eps: f32,
    /// How values are made.
    pub values: HeadValues,
}

/// The kernel for a head width, a table of `ropes` ropes, and a precision of the cache; `norms`: how values are made beside normed queries and keys.
pub fn kernel(head_dim: usize, norms: Option<HeadValues>, ropes: usize, precision: KvPrecision) -> Kernel {
    let shader = Shader::new("rope_append").choose("CACHE", cache_file(precision)).set_all([
        ("HEAD_DIM4", head_dim / 4),
        ("LOADS", head_dim.div_ceil(4 * 64)),
        ("SHARED_SCALE", (precision == KvPrecision::Int8).into()),
        ("NORM", norms.is_some().into()),
        ("VALUES_NORMED", (norms == Some(HeadValues::Normed)).into()),
        ("VALUES_ARE_KEYS", (norms == Some(HeadValues::Keys)).into()),
        ("ROPES", if ropes > 1 { ropes } else { 0 }),
    ]);
    let variant = Variant::RopeAppend { head_dim, norms, ropes, precision };
    let norm = match norms {
        None => "",
        Some(HeadValues::Plain) => ",norm",
        Some(HeadValues::Normed) => ",norm,values",
        Some(HeadValues::Keys) => ",norm,keys",
    };
    let of_ropes = if ropes > 1 { format!(",{ropes} ropes") } else { String::new() };
    Kernel::new(format!("rope_append<{head_dim},{precision}{norm}{of_ropes}>"), Features::NONE, shader, variant)
}

/// Records the rotation and the append.
pub fn record(recording: &mut Recording, append: &RopeAppend<'_>) -> Result<()> {
    let &RopeAppend { qkv, stride, tokens, heads, q_layout, norms, rope, step, cache } = append;
    let eps = norms.map_or(0.0, |norms| norms.eps);
    let gains = norms.into_iter().flat_map(|norms| [&norms.q, &norms.k]);
    recording.dispatch(Dispatch {
        kernel: kernel(heads.dim, norms.map(|norms| norms.values), rope.of, cache.precision),
        params: params!(
            tokens,
            q_heads = heads.q,
            kv_heads = heads.kv,
            stride4 = stride / 4,
            apart = heads.pairs.apart(heads.dim),
            eps,
            q_layout = q_layout.log_loads(),
            rope = (rope.of > 1).then_some(rope.index),
            rope_words = (rope.of > 1).then_some(rope.words(heads.dim)),
        ),
        buffers: [qkv].into_iter().chain(gains).chain(cache.bindings(step)).cloned().collect(),
        grid: folded_grid(tokens * (heads.q + heads.kv)),
        note: format!("tokens={tokens} heads={}+{} dim={}", heads.q, heads.kv, heads.dim),
    })
}
