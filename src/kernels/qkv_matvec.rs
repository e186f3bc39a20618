//! Queries, keys and values of a few tokens in one launch: a norm, [`matvec`](super::matvec) and [`rope_append`](super::rope_append) fused.

use super::cache::{Cache, cache_file};
use super::gemv::{Gemv, Norm, bindings};
use super::rope_append::Heads;
use super::{Variant, params};
use crate::config::{KvPrecision, RopePairs};
use crate::error::Result;
use crate::gpu::{Dispatch, Kernel, Recording, Slice};
use crate::layout::LaneLayout;
use crate::weights::Weight;

/// Arguments of a launch for the next `m` tokens.
#[derive(Debug)]
pub struct QkvMatvec<'a> {
    /// Residual stream. `// [m, k]`
    pub x: &'a Slice,
    /// Rows of `x`, preferably at most [`MAX_ROWS`](super::gemv::MAX_ROWS).
    pub m: usize,
    /// Norm of the inputs.
    pub norm: Norm<'a>,
    /// The matrix, in one part: rows of the queries, of the keys, of the values. `// [(q + 2 * kv) * dim, k]`
    pub weight: &'a Weight,
    /// Added to every row before the rotation. `// [(q + 2 * kv) * dim]`
    pub bias: Option<&'a Slice>,
    /// Division of the rows into heads.
    pub heads: Heads,
    /// The step buffer, see [`cache`](super::cache).
    pub step: &'a Slice,
    /// Rotated and scaled queries. `// [m, q * dim]`
    pub q: &'a Slice,
    /// Lane layout of the queries.
    pub q_layout: LaneLayout,
    /// The cache, to which rotated keys and values are appended at the step's position.
    pub cache: &'a Cache,
}

/// Bindings besides the norm's weight, the bias and the planes: x, q, step buffer and the two planes of the cache.
const OWN: usize = 5;

/// The kernel for a head width and a precision of the cache.
pub fn kernel(gemv: &Gemv, (head_dim, pairs): (usize, RopePairs), precision: KvPrecision, has_bias: bool) -> Kernel {
    let shader = gemv.shader("qkv_matvec").choose("CACHE", cache_file(precision)).set_all([
        ("HEAD_DIM4", head_dim / 4),
        ("INTERLEAVED", (pairs == RopePairs::Interleaved).into()),
        ("HAS_BIAS", has_bias.into()),
    ]);
    let variant = Variant::QkvMatvec { gemv: *gemv, head_dim, pairs, precision, has_bias };
    gemv.kernel("qkv_matvec", &format!(",{head_dim},{precision}"), shader, variant)
}

/// Returns true if one launch suffices on a device that binds at most `limit` storage buffers: the matrix is in one part, the cache holds
/// floats, and four pairs of a head are two groups of four rows.
pub fn can_fuse(weight: &Weight, heads: Heads, precision: KvPrecision, has_bias: bool, limit: usize) -> bool {
    let is_whole = !matches!(heads.pairs, RopePairs::First(_));
    let own = OWN + usize::from(has_bias);
    let bound = bindings(own, true, weight.layout) <= limit;
    weight.parts.len() == 1 && precision != KvPrecision::Int8 && heads.dim.is_multiple_of(8) && is_whole && bound
}

/// Records the launch; requires [`can_fuse`]. `gemv` has two fused outputs and a norm.
pub fn record(recording: &mut Recording, gemv: &Gemv, qkv: &QkvMatvec<'_>) -> Result<()> {
    let &QkvMatvec { x, m, norm, weight: Weight { shape, parts, .. }, bias, heads, step, q, q_layout, cache } = qkv;
    let Heads { q: q_heads, kv: kv_heads, dim, pairs } = heads;
    let (k, tiles) = (shape.cols, (q_heads + 2 * kv_heads) * dim / 8);
    let own = [x, q].into_iter().chain(bias).chain(cache.bindings(step)).chain([norm.weight]);
    let planes = parts.iter().flat_map(|part| &part.planes);
    recording.dispatch(Dispatch {
        kernel: kernel(gemv, (dim, pairs), cache.precision, bias.is_some()),
        params: params!(
            m,
            k4 = k / 4,
            blocks = shape.blocks(),
            tiles,
            eps = norm.eps,
            q_heads,
            kv_heads,
            q_layout = q_layout.log_loads(),
        ),
        buffers: own.chain(planes).cloned().collect(),
        grid: gemv.grid(m, tiles),
        note: format!("m={m} heads={q_heads}+{kv_heads} dim={dim} k={k}"),
    })
}
