//! GPU kernels, one module for each WGSL file: parameters, bindings and grid. A `record` function adds a launch to a recording, and fails
//! as [`Recording::dispatch`](crate::gpu::Recording::dispatch) does.
//!
//! Kernels know shapes and buffers, but nothing of models. [`crate::reference`] has modules of the same names that compute on the CPU.

use crate::config::{Activation, KvPrecision, RopePairs};
use crate::gpu::kernel_config::TUNING_GROUPS;
use crate::gpu::{DeviceClass, Dispatch, Features, Kernel, KernelConfig};
use crate::layout::Layout;
use crate::shader::Shader;

pub mod accept;
pub mod activation;
pub mod add_features;
pub mod attention;
pub mod attention_join;
pub mod attention_step;
pub mod cache;
pub mod cases;
pub mod clamp;
pub mod delta_scan;
pub mod embed_rows;
pub mod gate_rows;
pub mod gated_head_norm;
pub mod gated_matvec;
pub mod gemv;
pub mod glu;
mod host;
mod lanes;
pub mod layer_norm;
pub mod matmul;
pub mod matvec;
pub mod patch_merge;
pub mod patchify;
pub mod peak;
pub mod pool_rows;
pub mod position_rows;
pub mod qkv_matvec;
pub mod rms_norm;
pub mod rope;
pub mod rope_append;
pub mod sample;
pub mod sample_filter;
pub mod sample_scan;
pub mod sampling;
pub mod self_test;
pub mod soft_cap;
pub mod subgroup_probe;

pub use crate::layout::LaneLayout;
pub use crate::reference::attention::{ScoreOptions, Scoring};
pub use matmul::Linear;

/// Kernels that are tuned together: the indices of [`KernelConfig::variants`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TuningGroup {
    /// [`matvec`], [`gated_matvec`] and [`qkv_matvec`].
    Gemv,
    /// [`attention_step`].
    AttentionStep,
    /// [`matmul`].
    Matmul,
    /// [`attention`](mod@attention).
    Attention,
}

impl TuningGroup {
    /// All groups.
    pub const ALL: [Self; TUNING_GROUPS] = [Self::Gemv, Self::AttentionStep, Self::Matmul, Self::Attention];

    /// Indices of the tunings to try on a device besides the default of its class, in the numbering of [`KernelConfig::variants`].
    pub fn candidates(self, kernel_config: KernelConfig) -> Vec<u8> {
        use {attention as prompt, attention_step as step};
        if kernel_config.class == DeviceClass::Processor {
            return Vec::new();
        }
        let plain = KernelConfig { variants: KernelConfig::of(kernel_config.class).variants, ..kernel_config };
        let may = |uses: Features, suits: bool| suits && kernel_config.features.contains(uses);
        match self {
            Self::Gemv => {
                others(gemv::Tuning::of(plain), &gemv::Tuning::ALL, |each| may(each.uses, each.suits(kernel_config)))
            }
            Self::AttentionStep => {
                others(step::Tuning::of(plain), &step::Tuning::ALL, |each| may(each.uses, each.suits(kernel_config)))
            }
            Self::Matmul => others(matmul::Tuning::of(plain), &matmul::Tuning::ALL, |each| {
                may(each.uses, each.suits(kernel_config))
            }),
            Self::Attention => others(prompt::Tuning::of(plain), &prompt::Tuning::ALL, |each| {
                may(each.uses, each.suits(kernel_config))
            }),
        }
    }

    /// Returns true for kernels whose text depends on the tuning of this group, or which join their partial results.
    pub(crate) fn computes(self, kernel: &Kernel) -> bool {
        match kernel.origin() {
            Some(Variant::Matvec(_) | Variant::GatedMatvec(_) | Variant::QkvMatvec { .. }) => self == Self::Gemv,
            Some(Variant::Matmul { .. }) => self == Self::Matmul,
            Some(Variant::AttentionStep { .. } | Variant::AttentionJoin { .. }) => self == Self::AttentionStep,
            Some(Variant::Attention { .. }) => self == Self::Attention,
            _ => false,
        }
    }
}

/// Indices of the entries of `all` that `may` be tried, without the default.
fn others<T: PartialEq>(default: T, all: &[T], may: impl Fn(&T) -> bool) -> Vec<u8> {
    (1..).zip(all).filter(|(_, entry)| **entry != default && may(entry)).map(|(pick, _)| pick).collect()
}

/// Everything that a kernel's text depends on. Every [`Kernel`] of this room holds its variant as [`Kernel::origin`], from which
/// [`cases::of`] makes test inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Variant {
    /// A kernel with one text for every model, by name.
    Plain(&'static str),
    /// [`attention`](mod@attention).
    Attention {
        head_dim: usize,
        source: attention::Source,
        is_gated: bool,
        scores: ScoreOptions,
        tuning: attention::Tuning,
    },
    /// [`attention_join`](mod@attention_join).
    AttentionJoin { head_dim: usize, is_gated: bool },
    /// [`attention_step`](mod@attention_step) with `rows` query rows a workgroup, over the whole context or over a split of it.
    AttentionStep {
        head_dim: usize,
        precision: KvPrecision,
        rows: usize,
        q_layout: LaneLayout,
        results: attention_step::Results,
        scores: ScoreOptions,
        tuning: attention_step::Tuning,
    },
    /// [`delta_scan`](mod@delta_scan) of heads of a width.
    DeltaScan { dim: usize },
    /// [`embed_rows`](mod@embed_rows), with `parts` parts of the embedding in a launch.
    EmbedRows { layout: Layout, parts: usize, is_scaled: bool },
    /// [`gated_matvec`](mod@gated_matvec).
    GatedMatvec(gemv::Gemv),
    /// [`matmul`](mod@matmul); `ragged` if the last block extends past a row.
    Matmul { layout: Layout, ragged: bool, tuning: matmul::Tuning },
    /// [`matvec`](mod@matvec).
    Matvec(gemv::Gemv),
    /// [`peak`](mod@peak).
    Peak(peak::Numbers),
    /// [`qkv_matvec`](mod@qkv_matvec).
    QkvMatvec { gemv: gemv::Gemv, head_dim: usize, pairs: RopePairs, precision: KvPrecision, has_bias: bool },
    /// [`rms_norm`](mod@rms_norm).
    RmsNorm { tuning: rms_norm::Tuning, results: rms_norm::Results },
    /// [`rope`](mod@rope).
    Rope { is_rotated: bool, has_norms: bool, precision: KvPrecision },
    /// [`rope_append`](mod@rope_append).
    RopeAppend { head_dim: usize, norms: Option<rope_append::HeadValues>, ropes: usize, precision: KvPrecision },
    /// [`subgroup_probe`](mod@subgroup_probe), with the lanes of emulated subgroups or 0.
    SubgroupProbe { threads: usize, emulated: usize },
}

/// Bytes that a launch moves: the size of its bindings, but only the looked-up rows of an embedding.
pub fn moved_bytes(dispatch: &Dispatch) -> u64 {
    match (dispatch.kernel.origin(), &dispatch.buffers[..]) {
        (Some(Variant::EmbedRows { .. }), [_, _, out, ..]) => 2 * out.bytes,
        (_, buffers) => buffers.iter().map(|slice| slice.bytes).sum(),
    }
}

/// Sizes of a matrix of rows.
#[derive(Debug, Clone, Copy)]
pub struct RowShape {
    /// Number of rows.
    pub rows: usize,
    /// Numbers of a row.
    pub width: usize,
}

/// A kernel with one text for every model.
fn plain(name: &'static str) -> Kernel {
    Kernel::new(name, Features::NONE, Shader::new(name), Variant::Plain(name))
}

/// Workgroups for `threads` threads in groups of 64, folded into two dimensions if one is not enough.
fn linear_grid(threads: usize) -> [u32; 3] {
    folded_grid(threads.div_ceil(64))
}

/// `groups` workgroups, folded into two dimensions if one is not enough.
fn folded_grid(groups: usize) -> [u32; 3] {
    const WIDEST: usize = 32_768;
    if groups <= WIDEST {
        return [groups as u32, 1, 1];
    }
    [WIDEST as u32, groups.div_ceil(WIDEST).min(u32::MAX as usize) as u32, 1]
}

/// Types of the fields of a shader's `Params`, as 32-bit words.
trait Field {
    /// Appends the words of the value.
    fn put(self, words: &mut Vec<u32>);
}

impl Field for usize {
    fn put(self, words: &mut Vec<u32>) {
        words.push(self as u32);
    }
}

impl Field for bool {
    fn put(self, words: &mut Vec<u32>) {
        words.push(self.into());
    }
}

impl Field for f32 {
    fn put(self, words: &mut Vec<u32>) {
        words.push(self.to_bits());
    }
}

/// A field that the shader has only where it uses it.
impl<T: Field> Field for Option<T> {
    fn put(self, words: &mut Vec<u32>) {
        if let Some(field) = self {
            field.put(words);
        }
    }
}

impl Field for [f32; 4] {
    fn put(self, words: &mut Vec<u32>) {
        words.extend(self.map(f32::to_bits));
    }
}

/// Activations are numbered in `shared/activations.wgsl`.
impl Field for Activation {
    fn put(self, words: &mut Vec<u32>) {
        words.push(match self {
            Self::Silu => 0,
            Self::Gelu => 1,
            Self::GeluTanh => 2,
        });
    }
}

/// Pads words to whole 16 bytes for [`Dispatch::params`](crate::gpu::Dispatch::params).
fn param_bytes(mut words: Vec<u32>) -> Vec<u8> {
    words.resize(words.len().next_multiple_of(4), 0);
    bytemuck::cast_slice(&words).to_vec()
}

/// Bytes of `struct Params` of a shader: its fields in order, each with a value or the variable of its name. `tests/cpu/shaders.rs`
/// compares the names.
macro_rules! params {
    ($($field:ident $(= $value:expr)?),* $(,)?) => {{
        let mut words = Vec::new();
        $($crate::kernels::Field::put($crate::kernels::params!(@value $field $(= $value)?), &mut words);)*
        $crate::kernels::param_bytes(words)
    }};
    (@value $field:ident) => { $field };
    (@value $field:ident = $value:expr) => { $value };
}
use params;
