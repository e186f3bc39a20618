//! Grouped-query attention with an online softmax (<https://arxiv.org/abs/2205.14135>): causal over a cache for the decoder,
//! over all patches of a picture for the tower.

use super::cache::Cache;
use super::{TuningGroup, Variant, params_of};
use crate::config::KvPrecision;
use crate::error::Result;
use crate::gpu::{DeviceClass, Dispatch, Features, Kernel, KernelConfig, Recording, Slice};
use crate::shader::Shader;

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

/// Where keys and values are. `// [kv_tokens, kv_heads, head_dim]` each
#[derive(Debug, Clone, Copy)]
pub enum KeysValues<'a> {
    /// In 32-bit floats somewhere in the rows of matrices.
    Rows {
        /// Keys.
        k: &'a Heads,
        /// Values.
        v: &'a Heads,
    },
    /// In a cache.
    Cache(&'a Cache),
}

/// One attention.
#[derive(Debug)]
pub struct Attention<'a> {
    /// Queries. `// [q_tokens, q_heads, head_dim]`
    pub q: &'a Heads,
    /// Keys and values.
    pub kv: KeysValues<'a>,
    /// Results. `// [q_tokens, q_heads * head_dim]`
    pub out: &'a Slice,
    /// Rows of `q`.
    pub q_tokens: usize,
    /// Keys, and values.
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

/// How threads divide an attention. Part of the kernel's text: each choice is a pipeline of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tuning {
    /// Threads that share rows, and divide keys and columns among them.
    pub lanes: usize,
    /// Such groups of lanes in a workgroup, which share keys and values.
    pub lane_groups: usize,
    /// Rows of a group of lanes, in fours.
    pub rows4: usize,
    /// Keys whose scores a thread computes at a time.
    pub keys: usize,
    /// Keys that an iteration of the loop over weights takes; divides `lanes * keys`.
    pub unroll: usize,
    /// Optional features that it makes use of.
    pub uses: Features,
}

impl Tuning {
    /// All that a device is offered. Places in it are remembered: what is added goes to the end.
    pub const ALL: [Self; 2] = [Self::HARDWARE, Self::SOFTWARE];

    /// What suits a device.
    pub fn of(kernel_config: KernelConfig) -> Self {
        let suits = match kernel_config.class {
            DeviceClass::Hardware | DeviceClass::SlowCompiler => Self::HARDWARE,
            DeviceClass::Software => Self::SOFTWARE,
        };
        kernel_config.pick(TuningGroup::Attention as usize, &Self::ALL, |tuning| tuning.uses).unwrap_or(suits)
    }

    /// For hardware: few registers, and values that neighbours read side by side.
    pub const HARDWARE: Self = Self { lanes: 8, lane_groups: 8, rows4: 1, keys: 4, unroll: 2, uses: Features::NONE };
    /// For devices that run on a processor: as many products as possible for each load.
    pub const SOFTWARE: Self = Self { lanes: 4, lane_groups: 4, rows4: 2, keys: 8, unroll: 2, uses: Features::NONE };

    /// Query rows of a workgroup.
    fn rows(self) -> usize {
        4 * self.rows4 * self.lane_groups
    }
}

/// The file that reads keys and values of this precision, through a binding for each plane.
pub(super) fn kv_file(precision: KvPrecision) -> &'static str {
    match precision {
        KvPrecision::F32 => "kv_f32",
        KvPrecision::F16 => "kv_f16",
        KvPrecision::Int8 => "kv_int8",
    }
}

/// The kernel for a head width and a precision of the keys and values.
pub fn kernel(head_dim: usize, precision: KvPrecision, tuning: Tuning) -> Kernel {
    let Tuning { lanes, lane_groups, rows4, keys, unroll, uses } = tuning;
    let dim4 = head_dim / 4;
    let shader = Shader::new("attention").choose("KV", kv_file(precision)).set_all([
        ("HEAD_DIM4", dim4),
        ("LANES", lanes),
        ("LANE_GROUPS", lane_groups),
        ("ROWS", tuning.rows()),
        ("ROWS4", rows4),
        ("TILE", lanes * keys),
        ("KEYS", keys),
        ("COLUMNS", dim4.div_ceil(lanes)),
        ("SCORE_UNROLL", if dim4.is_multiple_of(2) { 2 } else { 1 }),
        ("VALUE_UNROLL", unroll),
    ]);
    let variant = Variant::Attention { head_dim, precision, tuning };
    Kernel::new(format!("attention<{head_dim},{precision}>"), uses, shader, variant)
}

/// Stride and offset of keys, stride and offset of values, and the planes that hold them.
fn source(a: &Attention<'_>) -> ([usize; 4], Vec<Slice>) {
    let width = a.kv_heads * a.head_dim;
    match a.kv {
        KeysValues::Rows { k, v } => {
            ([k.stride, k.offset, v.stride, v.offset], vec![k.buffer.clone(), v.buffer.clone()])
        }
        KeysValues::Cache(cache) => ([width, 0, width, 0], cache.planes.clone()),
    }
}

/// Records the attention, scaled by `head_dim^-0.5`.
///
/// # Errors
/// As [`Recording::dispatch`].
pub fn record(recording: &mut Recording, a: &Attention<'_>) -> Result<()> {
    record_as(Tuning::of(recording.kernel_config()), recording, a)
}

/// As [`record`], with a tuning.
///
/// # Errors
/// As [`Recording::dispatch`].
pub fn record_as(tuning: Tuning, recording: &mut Recording, a: &Attention<'_>) -> Result<()> {
    let (columns, planes) = source(a);
    let precision = match a.kv {
        KeysValues::Rows { .. } => KvPrecision::F32,
        KeysValues::Cache(cache) => cache.precision,
    };
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
        k_stride4: quarter(columns[0]),
        k_offset4: quarter(columns[1]),
        v_stride4: quarter(columns[2]),
        v_offset4: quarter(columns[3]),
        out_stride4: quarter(a.q_heads * a.head_dim),
        padding: [0; 3],
    };
    recording.dispatch(Dispatch {
        kernel: kernel(a.head_dim, precision, tuning),
        params: params_of(&params),
        buffers: [a.q.buffer.clone(), a.out.clone()].into_iter().chain(planes).collect(),
        grid: [(a.q_tokens * group).div_ceil(tuning.rows()) as u32, a.kv_heads as u32, 1],
        note: format!("q={} kv={} heads={}/{}", a.q_tokens, a.kv_tokens, a.q_heads, a.kv_heads),
    })
}
