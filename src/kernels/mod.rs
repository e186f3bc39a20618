//! One module a WGSL file: its parameters, its bindings and its grid. A `record` function adds a launch to a recording, and fails as
//! [`Recording::dispatch`](crate::gpu::Recording::dispatch).
//!
//! Knows shapes and buffers, nothing of what a model makes of them. [`crate::reference`] has the same names on the CPU.

use crate::config::{Activation, KvPrecision, RopePairs};
use crate::gpu::{DeviceClass, Dispatch, Features, Kernel, KernelConfig};
use crate::shader::Shader;
use crate::weights::layout::Layout;

pub mod accept;
pub mod activation;
pub mod add_features;
pub mod attention;
pub mod attention_join;
pub mod attention_step;
pub mod cache;
pub mod cases;
pub mod delta_scan;
pub mod embed_rows;
pub mod gated_head_norm;
pub mod gated_matvec;
pub mod gemv;
pub mod glu;
mod lanes;
pub mod layer_norm;
pub mod matmul;
pub mod matvec;
pub mod patch_merge;
pub mod patchify;
pub mod peak;
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

pub use crate::weights::layout::LaneLayout;
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
    /// What else this group may be computed with on a device, beside what suits its class: as [`KernelConfig::variants`] counts.
    pub fn candidates(self, kernel_config: KernelConfig) -> Vec<u8> {
        use {attention as prompt, attention_step as step};
        let plain = KernelConfig { variants: KernelConfig::of(kernel_config.class).variants, ..kernel_config };
        match self {
            Self::Gemv => others(kernel_config, gemv::Tuning::of(plain), &gemv::Tuning::ALL, |each| each.uses),
            Self::AttentionStep => others(kernel_config, step::Tuning::of(plain), &step::Tuning::ALL, |each| each.uses),
            Self::Matmul => {
                let all = others(kernel_config, matmul::Tuning::of(plain), &matmul::Tuning::ALL, |each| each.uses);
                // More sums than a GPU has registers for.
                let fits = |pick: &u8| matmul::Tuning::ALL[usize::from(*pick) - 1] != matmul::Tuning::QUADS;
                all.into_iter().filter(|pick| kernel_config.class == DeviceClass::Software || fits(pick)).collect()
            }
            Self::Attention => others(kernel_config, prompt::Tuning::of(plain), &prompt::Tuning::ALL, |each| each.uses),
        }
    }

    /// Whether a kernel's text follows the tuning of this group, or adds up what such kernels leave.
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

/// The entries of `all` that a device may use, without the one that suits it.
fn others<T: PartialEq>(kernel_config: KernelConfig, suits: T, all: &[T], uses: impl Fn(&T) -> Features) -> Vec<u8> {
    let may = |entry: &T| *entry != suits && kernel_config.features.contains(uses(entry));
    (1..).zip(all).filter(|(_, entry)| may(entry)).map(|(pick, _)| pick).collect()
}

/// All that a kernel's text depends on. Every [`Kernel`] of this room holds its variant as [`Kernel::origin`], from which [`cases::of`]
/// makes the inputs that test it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Variant {
    /// The kernel of that name, which is one text for every model.
    Plain(&'static str),
    /// [`attention`](mod@attention).
    Attention { head_dim: usize, source: attention::Source, is_gated: bool, tuning: attention::Tuning },
    /// [`attention_join`](mod@attention_join).
    AttentionJoin { head_dim: usize, is_gated: bool },
    /// [`attention_step`](mod@attention_step) of so many query rows a workgroup, over all of the context or a split of it.
    AttentionStep {
        head_dim: usize,
        precision: KvPrecision,
        rows: usize,
        q_layout: LaneLayout,
        results: attention_step::Results,
        tuning: attention_step::Tuning,
    },
    /// [`delta_scan`](mod@delta_scan) of heads of a width.
    DeltaScan { dim: usize },
    /// [`embed_rows`](mod@embed_rows) from an embedding of which a launch binds so many parts.
    EmbedRows { layout: Layout, parts: usize },
    /// [`gated_matvec`](mod@gated_matvec).
    GatedMatvec(gemv::Gemv),
    /// [`matmul`](mod@matmul); ragged if the last block of a row goes beyond its inputs.
    Matmul { layout: Layout, ragged: bool, tuning: matmul::Tuning },
    /// [`matvec`](mod@matvec).
    Matvec(gemv::Gemv),
    /// [`peak`](mod@peak).
    Peak(peak::Numbers),
    /// [`qkv_matvec`](mod@qkv_matvec).
    QkvMatvec { gemv: gemv::Gemv, head_dim: usize, pairs: RopePairs, precision: KvPrecision, has_bias: bool },
    /// [`rms_norm`](mod@rms_norm).
    RmsNorm(rms_norm::Tuning),
    /// [`rope`](mod@rope).
    Rope { is_rotated: bool, precision: KvPrecision },
    /// [`rope_append`](mod@rope_append).
    RopeAppend { head_dim: usize, has_norms: bool, precision: KvPrecision },
}

/// Bytes that a launch moves: those that it binds, but of an embedding the rows that are looked up.
pub fn moved_bytes(dispatch: &Dispatch) -> u64 {
    match (dispatch.kernel.origin(), &dispatch.buffers[..]) {
        (Some(Variant::EmbedRows { .. }), [_, _, out, ..]) => 2 * out.bytes,
        (_, buffers) => buffers.iter().map(|slice| slice.bytes).sum(),
    }
}

/// A kernel that is one text for every model.
fn plain(name: &'static str) -> Kernel {
    Kernel::new(name, Features::NONE, Shader::new(name), Variant::Plain(name))
}

/// Workgroups for `threads` threads in groups of 64, folded into two dimensions where one is not enough.
fn linear_grid(threads: usize) -> [u32; 3] {
    folded_grid(threads.div_ceil(64))
}

/// `groups` workgroups, folded into two dimensions where one is not enough.
fn folded_grid(groups: usize) -> [u32; 3] {
    const WIDEST: usize = 32_768;
    if groups <= WIDEST {
        return [groups as u32, 1, 1];
    }
    [WIDEST as u32, groups.div_ceil(WIDEST).min(u32::MAX as usize) as u32, 1]
}

/// What a field of a shader's `Params` may be: words of 32 bits.
trait Field {
    /// Appends them.
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

impl Field for [f32; 4] {
    fn put(self, words: &mut Vec<u32>) {
        words.extend(self.map(f32::to_bits));
    }
}

/// The activation's number in `shared/activations.wgsl`.
impl Field for Activation {
    fn put(self, words: &mut Vec<u32>) {
        words.push(match self {
            Self::Silu => 0,
            Self::Gelu => 1,
            Self::GeluTanh => 2,
        });
    }
}

/// Words as [`Dispatch::params`](crate::gpu::Dispatch::params) wants them: whole 16 bytes.
fn param_bytes(mut words: Vec<u32>) -> Vec<u8> {
    words.resize(words.len().next_multiple_of(4), 0);
    bytemuck::cast_slice(&words).to_vec()
}

/// The bytes of `struct Params` of a kernel's shader: its fields in their order, each with its value or the variable of its name.
/// `tests/shaders.rs` compares the names.
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
