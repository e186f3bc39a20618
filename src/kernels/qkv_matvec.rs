//! Queries, keys and values of a few tokens in one launch: what a norm, [`matvec`](super::matvec) and
//! [`rope_append`](super::rope_append) do.

use super::cache::{Cache, cache_file};
use super::gemv::{Gemv, Norm, Tuning, bindings};
use super::rope_append::Heads;
use super::{Variant, params_of};
use crate::config::{KvPrecision, RopePairs};
use crate::error::Result;
use crate::gpu::{Dispatch, Kernel, Recording, Slice};
use crate::weights::layout::{Layout, MatrixShape};
use crate::weights::upload::Weight;

#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    m: u32,
    k4: u32,
    blocks: u32,
    tiles: u32,
    eps: f32,
    q_heads: u32,
    kv_heads: u32,
    padding: u32,
}

/// The attention's inputs of the next `m` tokens.
#[derive(Debug)]
pub struct QkvMatvec<'a> {
    /// Residual stream. `// [m, k]`
    pub x: &'a Slice,
    /// Rows of `x`; best up to [`MAX_ROWS`](super::gemv::MAX_ROWS).
    pub m: usize,
    /// What is done to the inputs first.
    pub norm: Norm<'a>,
    /// The matrix, in one part: rows of the queries, of the keys, of the values. `// [(q + 2 * kv) * dim, k]`
    pub weight: &'a Weight,
    /// Added to every row before the rotation. `// [(q + 2 * kv) * dim]`
    pub bias: Option<&'a Slice>,
    /// How the rows divide into heads.
    pub heads: Heads,
    /// The step's words and table, as [`rope_append`](super::rope_append) reads them.
    pub step: &'a Slice,
    /// Rotated and scaled queries. `// [m, q * dim]`
    pub q: &'a Slice,
    /// Where rotated keys and values go, at the step's position and behind it.
    pub cache: &'a Cache,
    /// How threads divide it.
    pub tuning: Tuning,
}

/// Bindings beside the norm's weight, the bias and the planes: x, q, step and the two planes of the cache.
const OWN: usize = 5;

pub(super) fn of(gemv: &Gemv, (head_dim, pairs): (usize, RopePairs), precision: KvPrecision, has_bias: bool) -> Kernel {
    let shader = gemv.shader("qkv_matvec").choose("CACHE", cache_file(precision)).set_all([
        ("HEAD_DIM4", head_dim / 4),
        ("INTERLEAVED", (pairs == RopePairs::Interleaved).into()),
        ("HAS_BIAS", has_bias.into()),
    ]);
    let variant = Variant::QkvMatvec { gemv: *gemv, head_dim, pairs, precision, has_bias };
    gemv.kernel("qkv_matvec", &format!(",{head_dim},{precision}"), shader, variant)
}

/// The kernel for `m` rows of inputs and a matrix.
pub fn kernel(
    weight: (Layout, MatrixShape),
    m: usize,
    (heads, precision): (Heads, KvPrecision),
    has_bias: bool,
    tuning: Tuning,
) -> Kernel {
    of(&Gemv::new(weight, m, 2, true, tuning), (heads.dim, heads.pairs), precision, has_bias)
}

/// Whether a launch can do it on a device that binds at most `limit` storage buffers: the matrix is in one part, the cache is of
/// floats, and four pairs of a head are two groups of four rows.
pub fn can_fuse(weight: &Weight, heads: Heads, precision: KvPrecision, has_bias: bool, limit: usize) -> bool {
    let own = OWN + usize::from(has_bias);
    let bound = bindings(own, true, weight.layout) <= limit;
    weight.parts.len() == 1 && precision != KvPrecision::Int8 && heads.dim.is_multiple_of(8) && bound
}

/// Records it, where [`can_fuse`] says so.
///
/// # Errors
/// As [`Recording::dispatch`].
pub fn record(recording: &mut Recording, qkv: &QkvMatvec<'_>) -> Result<()> {
    let Weight { layout, shape, .. } = *qkv.weight;
    record_as(&Gemv::new((layout, shape), qkv.m, 2, true, qkv.tuning), recording, qkv)
}

/// As [`record`], by a kernel that is chosen already.
///
/// # Errors
/// As [`Recording::dispatch`].
pub fn record_as(gemv: &Gemv, recording: &mut Recording, qkv: &QkvMatvec<'_>) -> Result<()> {
    let Weight { shape, ref parts, .. } = *qkv.weight;
    let Heads { q, kv, dim, .. } = qkv.heads;
    let tiles = (q + 2 * kv) * dim / 8;
    let params = Params {
        m: qkv.m as u32,
        k4: (shape.cols / 4) as u32,
        blocks: shape.blocks() as u32,
        tiles: tiles as u32,
        eps: qkv.norm.eps,
        q_heads: q as u32,
        kv_heads: kv as u32,
        padding: 0,
    };
    let own = [qkv.x, qkv.q, qkv.step].into_iter().chain(qkv.bias).chain(&qkv.cache.planes).chain([qkv.norm.weight]);
    let planes = parts.iter().flat_map(|part| &part.planes);
    recording.dispatch(Dispatch {
        kernel: of(gemv, (dim, qkv.heads.pairs), qkv.cache.precision, qkv.bias.is_some()),
        params: params_of(&params),
        buffers: own.chain(planes).cloned().collect(),
        grid: gemv.grid(qkv.m, tiles),
        note: format!("m={} heads={q}+{kv} dim={dim} k={}", qkv.m, shape.cols),
    })
}
