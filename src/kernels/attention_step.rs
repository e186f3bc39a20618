//! Grouped-query attention of a decode step: a few last tokens over the cache, at a position that only the GPU knows
//! (<https://arxiv.org/abs/2205.14135>), over splits of the context if one workgroup a head would not fill the device
//! (<https://crfm.stanford.edu/2023/10/12/flashdecoding.html>).

use super::attention::Heads;
use super::cache::{Cache, kv_file, pack};
use super::{ScoreOptions, Scoring, TuningGroup, Variant, lanes, params};
use crate::config::KvPrecision;
use crate::error::Result;
use crate::gpu::{DeviceClass, Dispatch, Features, Kernel, KernelConfig, Recording, Slice};
use crate::layout::LaneLayout;
use crate::shader::Shader;

/// Division of an attention among threads. Part of the kernel's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tuning {
    /// Threads of a workgroup.
    pub threads: usize,
    /// Positions that a thread scores at a time.
    pub positions: usize,
    /// Four neighbours share a key, of which each reads 16 bytes at a time.
    pub shares_keys: bool,
    /// Most keys that a thread takes at a time, if neighbours share them.
    pub keys: usize,
    /// Values that a thread reads at once.
    pub unroll: usize,
    /// Positions of a long context for each workgroup.
    pub split: usize,
    /// Optional features that the tuning needs.
    pub uses: Features,
    /// Lanes of emulated subgroups; 0 for none.
    pub emulated: usize,
}

impl Tuning {
    /// All tunings that a device may choose from. Saved choices are indices, so new tunings are appended.
    pub const ALL: [Self; 14] = [
        Self::APART,
        Self::SOFTWARE,
        Self::APART_IN_SUBGROUPS,
        Self { threads: 32, ..Self::APART_IN_SUBGROUPS },
        Self { threads: 128, ..Self::APART_IN_SUBGROUPS },
        Self { threads: 32, positions: 2, ..Self::APART_IN_SUBGROUPS },
        Self { positions: 2, ..Self::APART_IN_SUBGROUPS },
        Self { uses: Features::SUBGROUPS, ..Self::SOFTWARE },
        Self::HARDWARE,
        Self::SUBGROUPS,
        Self::FEW_REGISTERS,
        Self::FEW_REGISTERS_IN_SUBGROUPS,
        Self { threads: 128, ..Self::SUBGROUPS },
        Self { threads: 128, unroll: 8, ..Self::SUBGROUPS },
    ];

    /// Returns true if the tuning may be the fastest of a device. Those for CPUs, with 16 threads, are not on a GPU; others need more registers
    /// than some GPUs have for a thread.
    pub fn suits(&self, kernel_config: KernelConfig) -> bool {
        let has_room = !self.shares_keys || self.keys <= Self::FEW_REGISTERS.keys;
        let is_for_cpus = self.threads <= Self::SOFTWARE.threads;
        kernel_config.class != DeviceClass::Hardware || !is_for_cpus && (!kernel_config.few_registers || has_room)
    }

    /// The tuning for a device: the autotuned one, or the default of its class.
    pub fn of(kernel_config: KernelConfig) -> Self {
        let has_subgroups = kernel_config.features.contains(Features::SUBGROUPS);
        let suits = match (kernel_config.class, kernel_config.few_registers) {
            (DeviceClass::Hardware, false) if has_subgroups => Self::SUBGROUPS,
            (DeviceClass::Hardware, false) => Self::HARDWARE,
            (DeviceClass::Hardware, true) if has_subgroups => Self::FEW_REGISTERS_IN_SUBGROUPS,
            (DeviceClass::Hardware, true) => Self::FEW_REGISTERS,
            (DeviceClass::Software | DeviceClass::SlowCompiler | DeviceClass::Processor, _) => Self::SOFTWARE,
        };
        kernel_config.pick(TuningGroup::AttentionStep as usize, &Self::ALL, |tuning| tuning.uses).unwrap_or(suits)
    }

    /// For hardware: neighbours read whole cache lines.
    pub const HARDWARE: Self = Self { shares_keys: true, ..Self::APART };
    /// For hardware with subgroups.
    pub const SUBGROUPS: Self = Self { uses: Features::SUBGROUPS, ..Self::HARDWARE };
    /// For hardware whose threads have few registers.
    pub const FEW_REGISTERS: Self = Self { keys: 2, ..Self::HARDWARE };
    /// For hardware with subgroups whose threads have few registers.
    pub const FEW_REGISTERS_IN_SUBGROUPS: Self = Self { keys: 2, ..Self::SUBGROUPS };
    /// For software devices: few threads to switch between at a barrier, few loads for each product.
    pub const SOFTWARE: Self = Self { threads: 16, positions: 4, unroll: 1, split: WHOLE, ..Self::APART };
    /// Each thread reads the keys of its own positions; also for heads that are not whole 16 bytes.
    pub const APART: Self = Self {
        threads: 64,
        positions: 1,
        shares_keys: false,
        keys: 4,
        unroll: 4,
        split: 64,
        uses: Features::NONE,
        emulated: 0,
    };
    const APART_IN_SUBGROUPS: Self = Self { uses: Features::SUBGROUPS, ..Self::APART };

    /// Positions that a workgroup takes at a time. Splits of the context and pages consist of whole tiles.
    pub fn tile(self) -> usize {
        self.threads * self.positions
    }

    /// The same tiles with fewer positions a thread where there are many rows and a window: `SwiftShader` compiles the bounds of eight rows times
    /// four positions for minutes, in gigabytes of memory.
    fn of_scores(self, scores: ScoreOptions, rows: usize) -> Self {
        if !scores.is_windowed || rows * self.positions <= MOST_BOUNDS {
            return self;
        }
        Self { threads: 2 * self.threads, positions: self.positions / 2, ..self }
    }

    /// Workgroups that share the attention of a key-value head over [`reach`] entries.
    pub fn splits(self, reach: usize) -> usize {
        if reach <= WHOLE { 1 } else { (reach / self.split).clamp(1, MAX_SPLITS) }
    }
}

/// Context length for which a step is divided: 256 entries, or the next power of two. Steps with the same reach are divided alike.
pub fn reach(entries: usize) -> usize {
    entries.next_power_of_two().clamp(WHOLE, MAX_SPLITS * WHOLE)
}

/// Entries that one workgroup of a key-value head always reads alone.
const WHOLE: usize = 256;
/// Most workgroups that share the attention of one key-value head.
pub const MAX_SPLITS: usize = 32;

/// Workgroup memory that every device has.
const WORKGROUP_BYTES: usize = 16 << 10;
/// Parts of a workgroup's threads, in the first stage of a reduction.
const PARTS: usize = 8;
/// Most sums of scores of a thread if neighbours share keys.
const MAX_SUMS: usize = 16;
/// Most positions that a thread compares with the window's bounds of rows at a time.
const MOST_BOUNDS: usize = 16;
/// Most rows of a workgroup; half as many of wider heads than [`WIDE`].
const MAX_ROWS: usize = 8;
const WIDE: usize = 256;

/// Arguments of an attention: token `i` of the `m` sees the cache up to its own position.
#[derive(Debug)]
pub struct AttentionStep<'a> {
    /// Queries. `// [m, q_heads, head_dim]`
    pub q: &'a Heads,
    /// Lane layout of the queries: [`query_layout`] or the natural order.
    pub q_layout: LaneLayout,
    /// Column of the first gate in a row of queries, if results are multiplied by the sigmoid of gates. `// [m, q_heads, head_dim]`
    pub gates: Option<usize>,
    /// Keys and values of all tokens so far, including these `m`.
    pub cache: &'a Cache,
    /// The step buffer.
    pub step: &'a Slice,
    /// Last tokens, preferably at most 8.
    pub m: usize,
    /// Query heads; a multiple of `kv_heads`.
    pub q_heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of a head; a multiple of 4, at most [`crate::config::MAX_HEAD_DIM`].
    pub head_dim: usize,
    /// How scores are computed.
    pub scoring: Scoring,
    /// Each token is the last one of another conversation; see [`can_be_apart`].
    pub apart: bool,
    /// Splits of the context. With one, `out` is the result; with more, [`attention_join`](super::attention_join) computes it from
    /// `partials`.
    pub splits: usize,
    /// Results. `// [m, q_heads * head_dim]`
    pub out: &'a Slice,
    /// Lane layout of the results.
    pub lane_layout: LaneLayout,
    /// Room for [`partials_len`] numbers. `// [splits, m * q_heads, head_dim + 4]`
    pub partials: &'a Slice,
    /// Division among threads.
    pub tuning: Tuning,
}

/// Numbers of the partial results; 0 for one split.
pub fn partials_len(m: usize, q_heads: usize, head_dim: usize, splits: usize) -> usize {
    if splits > 1 { splits * m * q_heads * (head_dim + 4) } else { 0 }
}

/// Query rows of a workgroup, for `rows` rows of a key-value head with heads of this width. Workgroup memory holds the sums of fewer wide ones.
pub fn rows_together(rows: usize, head_dim: usize) -> usize {
    let most = if head_dim > WIDE { MAX_ROWS / 2 } else { MAX_ROWS };
    rows.div_ceil(rows.div_ceil(most).max(1)).max(1)
}

/// Returns true if rows of several conversations can share a launch: the rows of a workgroup must belong to one.
pub fn can_be_apart(group: usize, head_dim: usize) -> bool {
    group.is_multiple_of(rows_together(group, head_dim))
}

/// Output of a launch. Part of the kernel's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Results {
    /// Results.
    Plain,
    /// Results times the sigmoid of their gates.
    Gated,
    /// Partial results of a split of the context.
    Partial,
}

/// A tuning reduced to the limits of the head width and of workgroup memory, the groups of threads that divide the positions of a tile, and
/// the vectors of sums.
fn fitting(mut tuning: Tuning, dim4: usize, precision: KvPrecision, rows: usize) -> (Tuning, usize, usize) {
    tuning.shares_keys &= dim4.is_multiple_of(pack(precision));
    loop {
        // A power of two, so that turns of several positions end with the tile.
        let mut groups = 1 << (tuning.threads / dim4).max(1).ilog2();
        // Weights of a tile, peaks, maxima and totals of threads and of their parts, values of emulated lanes, sums of the groups or of
        // quarters of scores.
        let rows4 = rows.div_ceil(4);
        let scores = if tuning.shares_keys { 4 * (tuning.tile() + 2) * rows4 } else { 0 };
        let sums = |groups: usize| scores.max(rows * groups * dim4);
        let emulation = if tuning.emulated > 0 { tuning.threads } else { 0 };
        let vectors = |groups: usize| rows4 * (tuning.threads + PARTS + 1) + emulation + sums(groups);
        let bytes = |groups: usize| 4 * tuning.tile() * rows + 16 * vectors(groups);
        while groups > 1 && bytes(groups) > WORKGROUP_BYTES {
            groups /= 2;
        }
        if bytes(groups) <= WORKGROUP_BYTES || tuning.threads == 1 {
            return (tuning, groups, sums(groups));
        }
        if tuning.shares_keys {
            tuning.shares_keys = false;
        } else {
            tuning.threads /= 2;
        }
    }
}

/// Positions that a workgroup takes at a time, for `rows` query rows in a workgroup.
pub(super) fn tile(tuning: Tuning, head_dim: usize, precision: KvPrecision, rows: usize) -> usize {
    fitting(tuning, head_dim / 4, precision, rows).0.tile()
}

/// Lane layout of the queries for a launch with `rows` query rows of a key-value head in a workgroup.
pub fn query_layout(head_dim: usize, precision: KvPrecision, rows: usize, tuning: Tuning) -> LaneLayout {
    let (tuning, ..) = fitting(tuning, head_dim / 4, precision, rows_together(rows, head_dim));
    if tuning.shares_keys { LaneLayout::for_keys(head_dim, pack(precision)) } else { LaneLayout::NATURAL }
}

/// The kernel for `rows` query rows of a key-value head in a workgroup.
pub fn kernel(
    head_dim: usize,
    precision: KvPrecision,
    rows: usize,
    q_layout: LaneLayout,
    results: Results,
    scores: ScoreOptions,
    tuning: Tuning,
) -> Kernel {
    let (dim4, rows) = (head_dim / 4, rows_together(rows, head_dim));
    let variant = Variant::AttentionStep { head_dim, precision, rows, q_layout, results, scores, tuning };
    let (tuning, value_groups, sums) = fitting(tuning.of_scores(scores, rows), dim4, precision, rows);
    let rows4 = rows.div_ceil(4);
    // Unpacking integers takes more registers.
    let sums_at_once = if precision == KvPrecision::Int8 { MAX_SUMS / 2 } else { MAX_SUMS };
    let shader = Shader::new("attention_step").choose("KV", kv_file(precision)).set_all([
        ("WIDE_KEYS", tuning.shares_keys.into()),
        ("QUERIES_BY_LANE", (q_layout != LaneLayout::NATURAL).into()),
        ("SCALED", (precision == KvPrecision::Int8).into()),
        ("PACK", pack(precision)),
        ("AT_ONCE", (sums_at_once / (4 * rows4)).clamp(1, tuning.keys)),
        ("UNROLL", tuning.unroll.min(tuning.tile() / value_groups)),
        ("HEAD_DIM4", dim4),
        ("ROWS", rows),
        ("ROWS4", rows4),
        ("THREADS", tuning.threads),
        ("POSITIONS", tuning.positions),
        ("COLUMNS", dim4.div_ceil(tuning.threads)),
        ("VALUE_GROUPS", value_groups),
        ("SUMS", sums),
        ("SPLIT", (results == Results::Partial).into()),
        ("GATED", (results == Results::Gated).into()),
        ("WINDOWED", scores.is_windowed.into()),
        ("CAPPED", scores.is_capped.into()),
    ]);
    let shader = if lanes::has_subgroups(tuning.uses, tuning.emulated) {
        shader
    } else {
        shader.set("PARTS", PARTS.min(tuning.threads / 4).max(1))
    };
    let label = match results {
        Results::Plain => "",
        Results::Gated => ",gated",
        Results::Partial => ",split",
    };
    let name = format!("attention_step<{head_dim},{precision},{rows}{label}{}>", scores.label());
    Kernel::new(name, tuning.uses, lanes::with(shader, tuning.uses, tuning.emulated), variant)
}

/// Records the attention: one launch, or two if there are several splits.
pub fn record(recording: &mut Recording, a: &AttentionStep<'_>) -> Result<()> {
    record_pieces(recording, a)?;
    if a.splits > 1 {
        let gates = a.gates.map(|offset| (Heads { offset, ..a.q.clone() }, a.q_heads));
        let (rows, out) = (a.m * a.q_heads, (a.out, a.lane_layout));
        super::attention_join::record(recording, rows, a.splits, a.head_dim, a.partials, gates.as_ref(), out)?;
    }
    Ok(())
}

/// Records the first launch only: `out`, or `partials` if there are several splits.
pub fn record_pieces(recording: &mut Recording, a: &AttentionStep<'_>) -> Result<()> {
    let group = a.q_heads / a.kv_heads;
    let (rows, splits) = (a.m * group, a.splits.max(1));
    let together = if a.apart { group } else { rows };
    let params = params!(
        m = a.m,
        group,
        kv_heads = a.kv_heads,
        splits,
        scale = a.scoring.soft_cap.unwrap_or(a.scoring.scale),
        q_stride4 = a.q.stride / 4,
        q_offset4 = a.q.offset / 4,
        gate_offset4 = a.gates.unwrap_or(0) / 4,
        lane_layout = a.lane_layout.word(),
        window = a.scoring.window,
        squash = a.scoring.squash(),
    );
    let (results, out) = match a.gates {
        _ if splits > 1 => (Results::Partial, a.partials),
        Some(_) => (Results::Gated, a.out),
        None => (Results::Plain, a.out),
    };
    recording.dispatch(Dispatch {
        kernel: kernel(a.head_dim, a.cache.precision, together, a.q_layout, results, a.scoring.options(), a.tuning),
        params,
        buffers: [&a.q.buffer, out].into_iter().chain(a.cache.bindings(a.step)).cloned().collect(),
        grid: [splits as u32, a.kv_heads as u32, rows.div_ceil(rows_together(together, a.head_dim)) as u32],
        note: format!("m={} heads={}/{} splits={splits}", a.m, a.q_heads, a.kv_heads),
    })
}
