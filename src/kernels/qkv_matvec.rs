//! Queries, keys and values of a few tokens in one launch: what a norm, [`matvec`](super::matvec) and
//! [`rope_append`](super::rope_append) do.

use super::cache::Cache;
use super::gemv::{Gemv, Norm, Own, Tuning, bindings};
use super::params_of;
use super::rope_append::Heads;
use crate::config::{KvPrecision, RopePairs};
use crate::error::Result;
use crate::gpu::{Access, Dispatch, Kernel, Recording, Slice};
use crate::weights::layout::{Layout, MatrixShape};
use crate::weights::upload::Weight;

#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    m: u32,
    k4: u32,
    blocks: u32,
    slots: u32,
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
    /// Turned and scaled queries. `// [m, q * dim]`
    pub q: &'a Slice,
    /// Where turned keys and values go, at the step's position and behind it.
    pub cache: &'a Cache,
    /// How threads divide it.
    pub tuning: Tuning,
}

/// Bindings beside the norm's weight, the bias and the planes: x, q, step and the two planes of the cache.
const OWN: [(&str, Access); 5] = [
    ("X", Access::Read),
    ("Q", Access::ReadWrite),
    ("STEP", Access::Read),
    ("KEYS", Access::ReadWrite),
    ("STORED", Access::ReadWrite),
];

fn of(few: &Gemv, heads: Heads, precision: KvPrecision, has_bias: bool) -> Kernel {
    let half = include_str!("../../shaders/shared/half.wgsl");
    let f16 = include_str!("../../shaders/shared/cache_f16.wgsl");
    let shader = include_str!("../../shaders/qkv_matvec.wgsl");
    let wgsl: &[&'static str] = match precision {
        KvPrecision::F16 => &[half, f16, shader],
        _ => &[include_str!("../../shaders/shared/cache_f32.wgsl"), shader],
    };
    let bias = has_bias.then_some(("BIAS", Access::Read));
    let bindings: Vec<_> = OWN.into_iter().chain(bias).collect();
    let interleaved = usize::from(heads.pairs == RopePairs::Interleaved);
    few.kernel(&Own {
        name: "qkv_matvec",
        detail: format!(",{},{precision}", heads.dim),
        wgsl,
        bindings: &bindings,
        constants: &[("HEAD_DIM4", heads.dim / 4), ("INTERLEAVED", interleaved)],
    })
}

/// The kernel for `m` rows of inputs and a matrix.
pub fn kernel(
    weight: (Layout, MatrixShape),
    m: usize,
    (heads, precision): (Heads, KvPrecision),
    has_bias: bool,
    tuning: Tuning,
) -> Kernel {
    of(&Gemv::new(weight, m, 2, true, tuning), heads, precision, has_bias)
}

/// Whether a launch can do it on a device that binds at most `limit` storage buffers: the matrix is in one part, the cache is of
/// floats, and four pairs of a head are two groups of four rows.
pub fn can_fuse(weight: &Weight, heads: Heads, precision: KvPrecision, has_bias: bool, limit: usize) -> bool {
    let own = OWN.len() + usize::from(has_bias);
    let bound = bindings(own, true, weight.layout) <= limit;
    weight.parts.len() == 1 && precision != KvPrecision::Int8 && heads.dim.is_multiple_of(8) && bound
}

/// Records it, where [`can_fuse`] says so.
///
/// # Errors
/// As [`Recording::dispatch`].
pub fn record(recording: &mut Recording, qkv: &QkvMatvec<'_>) -> Result<()> {
    let Weight { layout, shape, ref parts } = *qkv.weight;
    let Heads { q, kv, dim, .. } = qkv.heads;
    let few = Gemv::new((layout, shape), qkv.m, 2, true, qkv.tuning);
    let slots = (q + 2 * kv) * dim / 8;
    let params = Params {
        m: qkv.m as u32,
        k4: (shape.cols / 4) as u32,
        blocks: shape.blocks() as u32,
        slots: slots as u32,
        eps: qkv.norm.eps,
        q_heads: q as u32,
        kv_heads: kv as u32,
        padding: 0,
    };
    let own = [qkv.x, qkv.q, qkv.step].into_iter().chain(&qkv.cache.planes).chain(qkv.bias).chain([qkv.norm.weight]);
    let planes = parts.iter().flat_map(|part| &part.planes);
    recording.dispatch(Dispatch {
        kernel: of(&few, qkv.heads, qkv.cache.precision, qkv.bias.is_some()),
        params: params_of(&params),
        buffers: own.chain(planes).cloned().collect(),
        grid: few.grid(qkv.m, slots),
        note: format!("m={} heads={q}+{kv} dim={dim} k={}", qkv.m, shape.cols),
    })
}
