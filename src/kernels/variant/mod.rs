//! Kernels by what their text depends on.

use super::gemv::Gemv;
use super::{
    accept, activation, attention, attention_join, attention_step, embed_rows, gated_matvec, glu, matmul, matvec,
    patch_merge, patchify, qkv_matvec, rms_norm, rope, rope_append, sample, sample_filter, sample_scan,
};
use crate::config::{KvPrecision, RopePairs};
use crate::gpu::Kernel;
use crate::weights::layout::Layout;

/// A kernel with all that its text depends on. Every [`Kernel`] of this room holds its variant as [`Kernel::origin`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Variant {
    /// [`accept`](mod@accept).
    Accept,
    /// [`activation`](mod@activation).
    Activation,
    /// [`attention`](mod@attention) over keys and values of a precision.
    Attention {
        /// Width of a head.
        head_dim: usize,
        /// Of keys and values.
        precision: KvPrecision,
        /// How threads divide it.
        tuning: attention::Tuning,
    },
    /// [`attention_join`](mod@attention_join).
    AttentionJoin {
        /// Width of a head.
        head_dim: usize,
    },
    /// [`attention_step`](mod@attention_step).
    AttentionStep {
        /// Width of a head.
        head_dim: usize,
        /// Of the cache.
        precision: KvPrecision,
        /// Query rows that a workgroup takes.
        rows: usize,
        /// Whether there are several splits of the context.
        is_split: bool,
        /// How threads divide it.
        tuning: attention_step::Tuning,
    },
    /// [`embed_rows`](mod@embed_rows) from an embedding in so many parts.
    EmbedRows {
        /// Of the embedding.
        layout: Layout,
        /// Parts that a launch binds.
        parts: usize,
    },
    /// [`gated_matvec`](mod@gated_matvec).
    GatedMatvec(Gemv),
    /// [`glu`](mod@glu).
    Glu,
    /// [`matmul`](mod@matmul).
    Matmul {
        /// Of the matrix.
        layout: Layout,
        /// Whether the last block of a row goes beyond its inputs.
        ragged: bool,
        /// How threads divide it.
        tuning: matmul::Tuning,
    },
    /// [`matvec`](mod@matvec).
    Matvec(Gemv),
    /// [`patch_merge`](mod@patch_merge).
    PatchMerge,
    /// [`patchify`](mod@patchify).
    Patchify,
    /// [`qkv_matvec`](mod@qkv_matvec).
    QkvMatvec {
        /// The product.
        gemv: Gemv,
        /// Width of a head.
        head_dim: usize,
        /// Which lanes of a head form a pair.
        pairs: RopePairs,
        /// Of the cache.
        precision: KvPrecision,
        /// Whether a bias is added.
        has_bias: bool,
    },
    /// [`rms_norm`](mod@rms_norm).
    RmsNorm(rms_norm::Tuning),
    /// [`rope`](mod@rope).
    Rope,
    /// [`rope_append`](mod@rope_append).
    RopeAppend {
        /// Width of a head.
        head_dim: usize,
        /// Which lanes of a head form a pair.
        pairs: RopePairs,
        /// Of the cache.
        precision: KvPrecision,
    },
    /// [`sample`](mod@sample).
    Sample,
    /// [`sample_filter`](mod@sample_filter).
    SampleFilter,
    /// [`sample_scan`](mod@sample_scan).
    SampleScan,
}

impl Variant {
    /// Of a kernel of this room.
    pub fn of(kernel: &Kernel) -> Option<Self> {
        kernel.origin().copied()
    }

    /// The kernel.
    pub fn kernel(self) -> Kernel {
        match self {
            Self::Accept => accept::kernel(),
            Self::Activation => activation::kernel(),
            Self::Attention { head_dim, precision, tuning } => attention::kernel(head_dim, precision, tuning),
            Self::AttentionJoin { head_dim } => attention_join::kernel(head_dim),
            Self::AttentionStep { head_dim, precision, rows, is_split, tuning } => {
                attention_step::kernel(head_dim, precision, rows, is_split, tuning)
            }
            Self::EmbedRows { layout, parts } => embed_rows::kernel(layout, parts),
            Self::GatedMatvec(gemv) => gated_matvec::of(&gemv),
            Self::Glu => glu::kernel(),
            Self::Matmul { layout, ragged, tuning } => matmul::kernel(layout, ragged, tuning),
            Self::Matvec(gemv) => matvec::of(&gemv),
            Self::PatchMerge => patch_merge::kernel(),
            Self::Patchify => patchify::kernel(),
            Self::QkvMatvec { gemv, head_dim, pairs, precision, has_bias } => {
                qkv_matvec::of(&gemv, (head_dim, pairs), precision, has_bias)
            }
            Self::RmsNorm(tuning) => rms_norm::kernel(tuning),
            Self::Rope => rope::kernel(),
            Self::RopeAppend { head_dim, pairs, precision } => rope_append::kernel((head_dim, pairs), precision),
            Self::Sample => sample::kernel(),
            Self::SampleFilter => sample_filter::kernel(),
            Self::SampleScan => sample_scan::kernel(),
        }
    }
}
