//! Grouped-query attention with an online softmax (<https://arxiv.org/abs/2205.14135>): causal over a cache for the decoder,
//! over all patches of a picture for the tower.

use std::f32::consts::LOG2_E;

use super::cache::{Cache, kv_file, pack};
use super::{ScoreOptions, Scoring, TuningGroup, Variant, params};
use crate::config::KvPrecision;
use crate::error::Result;
use crate::gpu::buffer::row_alignment;
use crate::gpu::{DeviceClass, Dispatch, Features, Kernel, KernelConfig, Recording, Slice};
pub use crate::reference::attention::Shape;
use crate::shader::Shader;

/// A matrix of heads, as rows of a buffer. Widths are multiples of 4.
#[derive(Debug, Clone)]
pub struct Heads {
    /// The buffer. `// [tokens, stride]`
    pub buffer: Slice,
    /// Width of a row.
    pub stride: usize,
    /// Column of the first head.
    pub offset: usize,
}

/// Keys and values, each `// [kv_tokens, kv_heads, head_dim]`.
#[derive(Debug, Clone, Copy)]
pub enum KeysValues<'a> {
    /// Columns of matrices, in the order of positions.
    Rows {
        /// Keys.
        k: &'a Heads,
        /// Values.
        v: &'a Heads,
        /// Float format of both.
        precision: KvPrecision,
    },
    /// Pages of a cache.
    Cache {
        /// The cache.
        cache: &'a Cache,
        /// The step buffer, with the page table.
        step: &'a Slice,
    },
}

/// Storage of keys and values. Part of the kernel's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// Columns of float matrices.
    Rows(KvPrecision),
    /// A cache.
    Cache(KvPrecision),
}

impl KeysValues<'_> {
    fn source(&self) -> Source {
        match self {
            Self::Rows { precision, .. } => Source::Rows(*precision),
            Self::Cache { cache, .. } => Source::Cache(cache.precision),
        }
    }
}

impl Source {
    /// Number format of keys and values.
    pub fn precision(self) -> KvPrecision {
        match self {
            Self::Rows(precision) | Self::Cache(precision) => precision,
        }
    }
}

/// Arguments of an attention.
#[derive(Debug)]
pub struct Attention<'a> {
    /// Queries. `// [q_tokens, q_heads, head_dim]`
    pub q: &'a Heads,
    /// Column of the first gate in a row of queries, if results are multiplied by the sigmoid of gates. `// [q_tokens, q_heads, head_dim]`
    pub gates: Option<usize>,
    /// Keys and values.
    pub kv: KeysValues<'a>,
    /// Results. `// [q_tokens, q_heads * head_dim]`
    pub out: &'a Slice,
    /// Sizes; heads are at most [`crate::config::MAX_HEAD_DIM`] wide.
    pub shape: Shape,
    /// How its scores are computed.
    pub scoring: Scoring,
    /// Division among threads.
    pub tuning: Tuning,
}

/// Division of an attention among threads. Part of the kernel's text: each choice is a pipeline of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tuning {
    /// Threads that share rows and divide keys and columns among them; more for wide heads if keys are staged.
    pub lanes: usize,
    /// Groups of lanes in a workgroup, which share keys and values; fewer if there are more lanes.
    pub lane_groups: usize,
    /// Rows of a group of lanes, in fours.
    pub rows4: usize,
    /// Keys whose scores a thread computes at a time. A page of a cache consists of whole tiles of `lanes * keys`.
    pub keys: usize,
    /// Keys of an iteration of the loop over weights; divides `lanes * keys`.
    pub unroll: usize,
    /// Most vectors of a row's output that a thread has, if keys and values are staged in workgroup memory; otherwise 0.
    pub columns: usize,
    /// Optional features that the tuning needs.
    pub uses: Features,
}

impl Tuning {
    /// All tunings that a device may choose from. Saved choices are indices, so new tunings are appended.
    pub const ALL: [Self; 5] = [
        Self::UNSTAGED,
        Self::SOFTWARE,
        Self::HARDWARE,
        Self::FEW_REGISTERS,
        Self { lane_groups: 8, ..Self::HARDWARE },
    ];

    /// Returns true if the tuning may be the fastest of a device. The one for CPUs is not on a GPU; others need more registers than some GPUs have
    /// for a thread, and would be several times slower there.
    pub fn suits(&self, kernel_config: KernelConfig) -> bool {
        match (kernel_config.class, kernel_config.few_registers) {
            (DeviceClass::Hardware, true) => *self == Self::FEW_REGISTERS,
            (DeviceClass::Hardware, false) => *self != Self::SOFTWARE,
            _ => true,
        }
    }

    /// The tuning for a device: the autotuned one, or the default of its class.
    pub fn of(kernel_config: KernelConfig) -> Self {
        let suits = match kernel_config.class {
            DeviceClass::Hardware if kernel_config.few_registers => Self::FEW_REGISTERS,
            DeviceClass::Hardware => Self::HARDWARE,
            DeviceClass::SlowCompiler => Self::UNSTAGED,
            DeviceClass::Software | DeviceClass::Processor => Self::SOFTWARE,
        };
        kernel_config.pick(TuningGroup::Attention as usize, &Self::ALL, |tuning| tuning.uses).unwrap_or(suits)
    }

    /// For hardware: memory is read once for all rows of a workgroup, 64 bytes by neighbours.
    pub const HARDWARE: Self =
        Self { lanes: 8, lane_groups: 16, rows4: 1, keys: 4, unroll: 8, columns: 2, uses: Features::NONE };
    /// For hardware whose threads have 64 registers.
    pub const FEW_REGISTERS: Self = Self { lanes: 16, lane_groups: 8, keys: 2, columns: 1, ..Self::HARDWARE };
    /// For devices with emulated workgroup memory, and heads that cannot be staged.
    pub const UNSTAGED: Self = Self { lane_groups: 8, unroll: 2, columns: 0, ..Self::HARDWARE };
    /// For software devices: as many products as possible for each load.
    pub const SOFTWARE: Self = Self { lanes: 4, lane_groups: 4, rows4: 2, keys: 8, ..Self::UNSTAGED };

    /// The tuning adapted to a head width.
    pub fn fitting(self, head_dim: usize, source: Source) -> Self {
        let dim4 = head_dim / 4;
        if self.columns == 0 {
            return self;
        }
        if head_dim < LEAST_STAGED || !dim4.is_multiple_of(pack(source.precision())) {
            return Self::UNSTAGED;
        }
        let threads = self.lanes * self.lane_groups;
        let most_lanes = MOST_LANES.min(threads / 4);
        let lanes = dim4.div_ceil(self.columns).next_power_of_two().max(self.lanes).min(most_lanes);
        let values = self.unroll.min(1 << (VALUE_SLICE / dim4).ilog2());
        // A slice has room for the weights of all keys of a thread.
        let keys = self.keys.min(MOST_KEYS / lanes).min(values);
        Self { lanes, lane_groups: threads / lanes, keys, unroll: values, ..self }
    }

    /// Query rows of a workgroup.
    fn rows(self) -> usize {
        4 * self.rows4 * self.lane_groups
    }

    /// Keys that a workgroup takes at a time: powers of two up to 64.
    pub fn tile(self) -> usize {
        self.lanes * self.keys
    }
}

/// Narrower heads would leave threads without work.
const LEAST_STAGED: usize = 32;
/// Most threads that share rows with staged keys, and most keys of a tile, so that workgroup memory suffices.
const MOST_LANES: usize = 32;
const MOST_KEYS: usize = 64;
/// Fewest query rows of a launch, whatever the limit of a submission.
const LEAST_ROWS: usize = 32;
/// Most vectors of four numbers in a slice of values.
const VALUE_SLICE: usize = 256;

/// The kernel for a head width and a storage of keys and values, with or without gates.
pub fn kernel(head_dim: usize, source: Source, is_gated: bool, scores: ScoreOptions, tuning: Tuning) -> Kernel {
    let (precision, fitting) = (source.precision(), tuning.fitting(head_dim, source));
    let Tuning { lanes, lane_groups, rows4, keys, unroll, uses, .. } = fitting;
    let (dim4, threads, tile) = (head_dim / 4, lanes * lane_groups, fitting.tile());
    let (rows_of, held) = match source {
        Source::Rows(precision) => ("kv_contiguous", format!("rows,{precision}")),
        Source::Cache(precision) => ("step_buffer", precision.to_string()),
    };
    let is_staged = fitting.columns > 0;
    let file = if is_staged { "attention_tile" } else { "attention" };
    let shader = Shader::new(file).choose("KV", kv_file(precision)).choose("ROWS_OF", rows_of).set_all([
        ("WIDE_KEYS", is_staged.into()),
        ("WIDE_VALUES", is_staged.into()),
        ("SCALED", (precision == KvPrecision::Int8).into()),
        ("GATED", is_gated.into()),
        ("WINDOWED", scores.is_windowed.into()),
        ("CAPPED", scores.is_capped.into()),
        ("HEAD_DIM4", dim4),
        ("LANES", lanes),
        ("ROWS", fitting.rows()),
        ("ROWS4", rows4),
        ("TILE", tile),
        ("KEYS", keys),
        ("COLUMNS", dim4.div_ceil(lanes)),
    ]);
    let shader = if is_staged {
        let pack = pack(precision);
        shader.set_all([
            ("THREADS", threads),
            ("VALUES", unroll),
            ("PACK", pack),
            ("QUERY_LOADS", (4 * fitting.rows()).div_ceil(threads)),
            ("KEY_LOADS", 4 * tile / threads),
            ("VALUE_LOADS", dim4.div_ceil(pack * threads / unroll)),
        ])
    } else {
        shader.set_all([
            ("LANE_GROUPS", lane_groups),
            ("SCORE_UNROLL", if dim4.is_multiple_of(2) { 2 } else { 1 }),
            ("VALUE_UNROLL", unroll),
        ])
    };
    let variant = Variant::Attention { head_dim, source, is_gated, scores, tuning };
    let gated = if is_gated { ",gated" } else { "" };
    Kernel::new(format!("attention<{head_dim},{held}{gated}{}>", scores.label()), uses, shader, variant)
}

/// FLOP of scores and weighted values: all visible pairs of a query and a key, in every head.
fn flops(shape: &Shape, window: Option<usize>) -> u64 {
    let [queries, keys, heads, dim] =
        [shape.q_tokens, shape.kv_tokens, shape.q_heads, shape.head_dim].map(|size| size as u64);
    let pairs = match (shape.causal_past, window) {
        (None, _) => queries * keys,
        (Some(_), None) => (queries * keys).saturating_sub(queries * queries.saturating_sub(1) / 2),
        (Some(past), Some(window)) => (1..=queries).map(|row| (past as u64 + row).min(window as u64)).sum(),
    };
    4 * pairs * heads * dim
}

/// Records the attention.
pub fn record(recording: &mut Recording, a: &Attention<'_>) -> Result<()> {
    let Shape { q_tokens, kv_tokens, q_heads, kv_heads, head_dim, causal_past } = a.shape;
    // An upper bound: the last query sees the most keys.
    let most_keys = a.scoring.window.map_or(kv_tokens, |window| kv_tokens.min(window));
    let most = flops(&Shape { causal_past: None, kv_tokens: most_keys, ..a.shape }, None);
    let (q_stride, out_stride) = (a.q.stride, q_heads * head_dim);
    // A query's result does not depend on the other queries: whole workgroups, or half ones if that is too much at once.
    let step = |rows: usize| rows.div_ceil(q_heads / kv_heads).next_multiple_of(row_alignment(&[q_stride, out_stride]));
    let (whole, least) = (step(fitting(a).rows()), step(fitting(a).rows().min(LEAST_ROWS)));
    let fits = recording.fits(most / q_tokens.max(1) as u64 * whole as u64);
    let step = if fits { whole } else { least };
    recording.divide(q_tokens, most, step).try_for_each(|range| {
        let causal_past = causal_past.map(|past| past + range.start);
        let kv_tokens = causal_past.map_or(kv_tokens, |past| kv_tokens.min(past + range.len()));
        let shape = Shape { q_tokens: range.len(), kv_tokens, causal_past, ..a.shape };
        let q = &Heads { buffer: a.q.buffer.skip_rows(range.start, q_stride), ..*a.q };
        let out = &a.out.skip_rows(range.start, out_stride);
        record_rows(recording, &Attention { q, out, shape, ..*a })
    })
}

/// The tuning of the kernel for an attention.
fn fitting(a: &Attention<'_>) -> Tuning {
    a.tuning.fitting(a.shape.head_dim, a.kv.source())
}

/// Records the attention in one launch.
fn record_rows(recording: &mut Recording, a: &Attention<'_>) -> Result<()> {
    let Shape { q_tokens, kv_tokens, q_heads, kv_heads, head_dim, causal_past } = a.shape;
    let width = kv_heads * head_dim;
    // Stride and offset of keys, stride and offset of values, and their buffers.
    let (columns, held) = match a.kv {
        KeysValues::Rows { k, v, .. } => {
            ([k.stride, k.offset, v.stride, v.offset], vec![k.buffer.clone(), v.buffer.clone()])
        }
        KeysValues::Cache { cache, step } => ([width, 0, width, 0], cache.bindings(step).cloned().collect()),
    };
    let (group, fitting) = (q_heads / kv_heads, fitting(a));
    let exponents_of = if fitting.columns > 0 { LOG2_E } else { 1.0 };
    let params = params!(
        q_tokens,
        kv_tokens,
        group,
        past = causal_past.unwrap_or(0),
        causal = causal_past.is_some(),
        scale = a.scoring.soft_cap.unwrap_or(a.scoring.scale) * exponents_of,
        q_stride4 = a.q.stride / 4,
        q_offset4 = a.q.offset / 4,
        k_stride4 = columns[0] / 4,
        k_offset4 = columns[1] / 4,
        v_stride4 = columns[2] / 4,
        v_offset4 = columns[3] / 4,
        out_stride4 = q_heads * head_dim / 4,
        gate_offset4 = a.gates.unwrap_or(0) / 4,
        window = a.scoring.window,
        squash = a.scoring.squash(),
    );
    let dispatch = Dispatch {
        kernel: kernel(head_dim, a.kv.source(), a.gates.is_some(), a.scoring.options(), a.tuning),
        params,
        buffers: [a.q.buffer.clone(), a.out.clone()].into_iter().chain(held).collect(),
        grid: [(q_tokens * group).div_ceil(fitting.rows()) as u32, kv_heads as u32, 1],
        note: format!("q={q_tokens} kv={kv_tokens} heads={q_heads}/{kv_heads}"),
    };
    recording.multiply(dispatch, flops(&a.shape, a.scoring.window))
}
