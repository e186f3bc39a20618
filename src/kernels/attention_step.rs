//! Grouped-query attention of a decode step: a few last tokens over the cache, at a position only the GPU knows
//! (<https://arxiv.org/abs/2205.14135>), over splits of the context where that fills the device
//! (<https://crfm.stanford.edu/2023/10/12/flashdecoding.html>).

use super::attention::Heads;
use super::cache::{Cache, kv_file};
use super::{TuningGroup, Variant, lanes, params};
use crate::config::KvPrecision;
use crate::error::Result;
use crate::gpu::{DeviceClass, Dispatch, Features, Kernel, KernelConfig, Recording, Slice};
use crate::shader::Shader;

/// How threads divide an attention. Part of the kernel's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tuning {
    /// Threads of a workgroup.
    pub threads: usize,
    /// Positions that a thread scores at a time.
    pub positions: usize,
    /// Optional features that it makes use of.
    pub uses: Features,
    /// Lanes of the subgroups that are emulated; 0 for none.
    pub emulated: usize,
}

impl Tuning {
    /// All that a device is offered. Places in it are remembered: what is added goes to the end.
    pub const ALL: [Self; 8] = [
        Self::HARDWARE,
        Self::SOFTWARE,
        Self::SUBGROUPS,
        Self { threads: 32, ..Self::SUBGROUPS },
        Self { threads: 128, ..Self::SUBGROUPS },
        Self { threads: 32, positions: 2, ..Self::SUBGROUPS },
        Self { positions: 2, ..Self::SUBGROUPS },
        Self { uses: Features::SUBGROUPS, ..Self::SOFTWARE },
    ];

    /// What suits a device.
    pub fn of(kernel_config: KernelConfig) -> Self {
        let suits = match kernel_config.class {
            DeviceClass::Hardware if kernel_config.features.contains(Features::SUBGROUPS) => Self::SUBGROUPS,
            DeviceClass::Hardware => Self::HARDWARE,
            DeviceClass::Software | DeviceClass::SlowCompiler => Self::SOFTWARE,
        };
        kernel_config.pick(TuningGroup::AttentionStep as usize, &Self::ALL, |tuning| tuning.uses).unwrap_or(suits)
    }

    /// For hardware.
    pub const HARDWARE: Self = Self { threads: 64, positions: 1, uses: Features::NONE, emulated: 0 };
    /// For hardware with subgroups.
    pub const SUBGROUPS: Self = Self { uses: Features::SUBGROUPS, ..Self::HARDWARE };
    /// For devices that run on a processor: few threads to switch between at a barrier, few loads a product.
    pub const SOFTWARE: Self = Self { threads: 16, positions: 4, uses: Features::NONE, emulated: 0 };

    /// Positions that a workgroup takes at a time; a split of the context is whole tiles, and so is a page.
    pub fn tile(self) -> usize {
        self.threads * self.positions
    }
}

/// Workgroup memory that every device has.
const WORKGROUP_BYTES: usize = 16 << 10;
/// Most rows of a workgroup.
const MAX_ROWS: usize = 8;

/// One attention: token `i` of the `m` sees the cache up to its own position.
#[derive(Debug)]
pub struct AttentionStep<'a> {
    /// Queries. `// [m, q_heads, head_dim]`
    pub q: &'a Heads,
    /// Keys and values of all tokens so far, these `m` among them.
    pub cache: &'a Cache,
    /// The step's words.
    pub step: &'a Slice,
    /// Last tokens; best up to 8.
    pub m: usize,
    /// Query heads; a multiple of `kv_heads`.
    pub q_heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of a head; a multiple of 4, at most [`crate::config::MAX_HEAD_DIM`].
    pub head_dim: usize,
    /// Whether each of them is the last one of another conversation; see [`can_be_apart`].
    pub apart: bool,
    /// Splits of the context. With one, `out` is the result; with more, [`attention_join`](super::attention_join) computes it from
    /// `partials`.
    pub splits: usize,
    /// Results. `// [m, q_heads * head_dim]`
    pub out: &'a Slice,
    /// Of [`partials_len`] numbers. `// [splits, m * q_heads, head_dim + 4]`
    pub partials: &'a Slice,
    /// How threads divide it.
    pub tuning: Tuning,
}

/// Numbers that partial results take; 0 for one split.
pub fn partials_len(m: usize, q_heads: usize, head_dim: usize, splits: usize) -> usize {
    if splits > 1 { splits * m * q_heads * (head_dim + 4) } else { 0 }
}

/// Query rows of a workgroup, of `rows` in all.
pub fn rows_together(rows: usize) -> usize {
    rows.div_ceil(rows.div_ceil(MAX_ROWS).max(1)).max(1)
}

/// Whether rows of several conversations can share a launch: those of a workgroup must be of one.
pub fn can_be_apart(group: usize) -> bool {
    group.is_multiple_of(rows_together(group))
}

/// As much of a tuning as workgroup memory has room for, and the groups of threads that divide the positions of a tile.
fn fitting(mut tuning: Tuning, dim4: usize, rows: usize) -> (Tuning, usize) {
    loop {
        let mut groups = (tuning.threads / dim4).max(1);
        // Weights of a tile, peaks and totals of threads or subgroups and of rows, sums of the groups.
        let peaks = 16 * rows.div_ceil(4) * (tuning.threads + 1);
        let bytes = |groups: usize| 4 * tuning.tile() * rows + peaks + 16 * rows * groups * dim4;
        while groups > 1 && bytes(groups) > WORKGROUP_BYTES {
            groups -= 1;
        }
        if bytes(groups) <= WORKGROUP_BYTES || tuning.threads == 1 {
            return (tuning, groups);
        }
        tuning.threads /= 2;
    }
}

/// The kernel for so many query rows of a key-value head.
pub fn kernel(head_dim: usize, precision: KvPrecision, rows: usize, is_split: bool, tuning: Tuning) -> Kernel {
    let (dim4, rows) = (head_dim / 4, rows_together(rows));
    let variant = Variant::AttentionStep { head_dim, precision, rows, is_split, tuning };
    let (tuning, value_groups) = fitting(tuning, dim4, rows);
    let shader = Shader::new("attention_step").choose("KV", kv_file(precision)).set_all([
        ("STAGED", 0),
        ("HEAD_DIM4", dim4),
        ("ROWS", rows),
        ("ROWS4", rows.div_ceil(4)),
        ("THREADS", tuning.threads),
        ("POSITIONS", tuning.positions),
        ("COLUMNS", dim4.div_ceil(tuning.threads)),
        ("VALUE_GROUPS", value_groups),
        ("SPLIT", is_split.into()),
    ]);
    let split = if is_split { ",split" } else { "" };
    let name = format!("attention_step<{head_dim},{precision},{rows}{split}>");
    Kernel::new(name, tuning.uses, lanes::with(shader, tuning.uses, tuning.emulated), variant)
}

/// Records the attention, scaled by `head_dim^-0.5`: in one launch, or in two where there are several splits.
pub fn record(recording: &mut Recording, a: &AttentionStep<'_>) -> Result<()> {
    record_pieces(recording, a)?;
    if a.splits > 1 {
        super::attention_join::record(recording, (a.m * a.q_heads, a.splits, a.head_dim), a.partials, a.out)?;
    }
    Ok(())
}

/// Records the first launch alone: `out`, or `partials` where there are several splits.
pub fn record_pieces(recording: &mut Recording, a: &AttentionStep<'_>) -> Result<()> {
    let group = a.q_heads / a.kv_heads;
    let (rows, splits) = (a.m * group, a.splits.max(1));
    let together = if a.apart { group } else { rows };
    let params = params!(
        m = a.m,
        group,
        kv_heads = a.kv_heads,
        splits,
        scale = (a.head_dim as f32).sqrt().recip(),
        q_stride4 = a.q.stride / 4,
        q_offset4 = a.q.offset / 4,
    );
    let out = if splits > 1 { a.partials } else { a.out };
    recording.dispatch(Dispatch {
        kernel: kernel(a.head_dim, a.cache.precision, together, splits > 1, a.tuning),
        params,
        buffers: [&a.q.buffer, out].into_iter().chain(a.cache.bindings(a.step)).cloned().collect(),
        grid: [splits as u32, a.kv_heads as u32, rows.div_ceil(rows_together(together)) as u32],
        note: format!("m={} heads={}/{} splits={splits}", a.m, a.q_heads, a.kv_heads),
    })
}
