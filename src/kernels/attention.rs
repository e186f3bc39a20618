//! Grouped-query attention with an online softmax (<https://arxiv.org/abs/2205.14135>): causal over a cache for the decoder,
//! over all patches of a picture for the tower.

use super::cache::{Cache, kv_file};
use super::{TuningGroup, Variant, params};
use crate::config::KvPrecision;
use crate::error::Result;
use crate::gpu::buffer::row_alignment;
use crate::gpu::{DeviceClass, Dispatch, Features, Kernel, KernelConfig, Recording, Slice};
pub use crate::reference::attention::Shape;
use crate::shader::Shader;

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
    Cache {
        /// Which.
        cache: &'a Cache,
        /// The words of the step, with the table of pages.
        step: &'a Slice,
    },
}

/// What holds keys and values. Part of the kernel's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// Rows of matrices, in 32-bit floats.
    Rows,
    /// A cache.
    Cache(KvPrecision),
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
    /// Its sizes; heads are at most [`crate::config::MAX_HEAD_DIM`] wide.
    pub shape: Shape,
    /// How threads divide it.
    pub tuning: Tuning,
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
    /// Keys whose scores a thread computes at a time. A page of a cache is whole tiles of `lanes * keys`.
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

/// The kernel for a head width and what holds the keys and values.
pub fn kernel(head_dim: usize, source: Source, tuning: Tuning) -> Kernel {
    let Tuning { lanes, lane_groups, rows4, keys, unroll, uses } = tuning;
    let dim4 = head_dim / 4;
    let (kv, rows_of, held) = match source {
        Source::Rows => (kv_file(KvPrecision::F32), "in_order", "rows".into()),
        Source::Cache(precision) => (kv_file(precision), "pages", precision.to_string()),
    };
    let shader = Shader::new("attention").choose("KV", kv).choose("ROWS_OF", rows_of).set_all([
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
    let variant = Variant::Attention { head_dim, source, tuning };
    Kernel::new(format!("attention<{head_dim},{held}>"), uses, shader, variant)
}

/// FLOP of scores and weighted values: of pairs of a query and a key that it sees, in every head.
fn flops(shape: &Shape) -> u64 {
    let [queries, keys, heads, dim] =
        [shape.q_tokens, shape.kv_tokens, shape.q_heads, shape.head_dim].map(|size| size as u64);
    let unseen = if shape.causal_past.is_some() { queries * queries.saturating_sub(1) / 2 } else { 0 };
    4 * (queries * keys).saturating_sub(unseen) * heads * dim
}

/// Records the attention, scaled by `head_dim^-0.5`.
pub fn record(recording: &mut Recording, a: &Attention<'_>) -> Result<()> {
    let Shape { q_tokens, kv_tokens, q_heads, kv_heads, head_dim, causal_past } = a.shape;
    // Every query comes out the same whichever others are computed with it.
    let tokens = a.tuning.rows().div_ceil(q_heads / kv_heads);
    let (q_stride, out_stride) = (a.q.stride, q_heads * head_dim);
    let step = tokens.next_multiple_of(row_alignment(&[q_stride, out_stride]));
    // Each as if it saw all keys: the last ones do.
    let most = flops(&Shape { causal_past: None, ..a.shape });
    recording.divide(q_tokens, most, step).try_for_each(|range| {
        let causal_past = causal_past.map(|past| past + range.start);
        let kv_tokens = causal_past.map_or(kv_tokens, |past| kv_tokens.min(past + range.len()));
        let shape = Shape { q_tokens: range.len(), kv_tokens, causal_past, ..a.shape };
        let q = &Heads { buffer: a.q.buffer.skip_rows(range.start, q_stride), ..*a.q };
        let out = &a.out.skip_rows(range.start, out_stride);
        record_rows(recording, &Attention { q, out, shape, ..*a })
    })
}

/// Records it in one launch.
fn record_rows(recording: &mut Recording, a: &Attention<'_>) -> Result<()> {
    let Shape { q_tokens, kv_tokens, q_heads, kv_heads, head_dim, causal_past } = a.shape;
    let width = kv_heads * head_dim;
    // Stride and offset of keys, stride and offset of values, and what holds them.
    let (columns, held, source) = match a.kv {
        KeysValues::Rows { k, v } => {
            ([k.stride, k.offset, v.stride, v.offset], vec![k.buffer.clone(), v.buffer.clone()], Source::Rows)
        }
        KeysValues::Cache { cache, step } => {
            ([width, 0, width, 0], cache.bindings(step).cloned().collect(), Source::Cache(cache.precision))
        }
    };
    let group = q_heads / kv_heads;
    let params = params!(
        q_tokens,
        kv_tokens,
        group,
        past = causal_past.unwrap_or(0),
        causal = causal_past.is_some(),
        scale = (head_dim as f32).sqrt().recip(),
        q_stride4 = a.q.stride / 4,
        q_offset4 = a.q.offset / 4,
        k_stride4 = columns[0] / 4,
        k_offset4 = columns[1] / 4,
        v_stride4 = columns[2] / 4,
        v_offset4 = columns[3] / 4,
        out_stride4 = q_heads * head_dim / 4,
    );
    let dispatch = Dispatch {
        kernel: kernel(head_dim, source, a.tuning),
        params,
        buffers: [a.q.buffer.clone(), a.out.clone()].into_iter().chain(held).collect(),
        grid: [(q_tokens * group).div_ceil(a.tuning.rows()) as u32, kv_heads as u32, 1],
        note: format!("q={q_tokens} kv={kv_tokens} heads={q_heads}/{kv_heads}"),
    };
    recording.multiply(dispatch, flops(&a.shape))
}
