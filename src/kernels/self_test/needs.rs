//! The kernels of a model, listed from its shape: for as long as no recording of it lists them.

use std::collections::BTreeSet;

use crate::config::{Activation, KvPrecision, RopePairs};
use crate::gpu::{Gpu, Kernel, KernelConfig};
use crate::kernels::gemv::{Gemv, Tuning};
use crate::kernels::{Variant, attention, attention_step, gemv, matmul, rms_norm};
use crate::weights::layout::{Layout, MatrixShape};

/// The kernels that a model needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needs {
    /// Layouts of the matrices that rows of prompts and pictures are multiplied by.
    pub products: BTreeSet<Layout>,
    /// Layouts of the matrices that the row of a step is multiplied by.
    pub step: BTreeSet<Layout>,
    /// Layout of the matrix that makes logits.
    pub head: Layout,
    /// Layout of the embedding.
    pub embedding: Layout,
    /// The decoder's heads.
    pub decoder: Heads,
    /// Query heads that share a key-value head.
    pub group: usize,
    /// Precisions of its cache.
    pub caches: Vec<KvPrecision>,
    /// The tower and the projector.
    pub vision: Option<Vision>,
}

/// What the heads of a transformer ask of attention and rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heads {
    /// Width of a head.
    pub head_dim: usize,
    /// Which lanes of a head form a pair.
    pub pairs: RopePairs,
}

/// What a tower asks besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vision {
    /// Its heads.
    pub heads: Heads,
    /// Side of a patch in pixels.
    pub patch_size: usize,
    /// Patches along a side of the square that becomes a token.
    pub merge: usize,
    /// Its gate.
    pub gate: Activation,
    /// The projector's activation.
    pub projector: Activation,
}

/// Inputs of the step's products, for the tile that a kernel stages at a time.
const INPUTS: usize = 80 * 32;

impl Needs {
    /// All kernels of a prompt, a step of one row and a picture, on a device that computes in these ways.
    pub fn kernels(&self, gpu: &Gpu, config: KernelConfig) -> Vec<Kernel> {
        let tuning = matmul::Tuning::of(config);
        let products = self.products.iter().map(|&layout| Variant::Matmul { layout, ragged: false, tuning });
        let Heads { head_dim, pairs } = self.decoder;
        let attention =
            |head_dim, precision| Variant::Attention { head_dim, precision, tuning: attention::Tuning::of(config) };
        let caches = self.caches.iter().flat_map(|&precision| {
            [attention(head_dim, precision), Variant::RopeAppend { head_dim, pairs, precision }]
        });
        let others = [
            Variant::EmbedRows { layout: self.embedding, parts: 1 },
            Variant::RmsNorm(rms_norm::Tuning::of(config)),
            Variant::Glu,
            Variant::SampleScan,
            Variant::Sample,
        ];
        let vision = self.vision.iter().flat_map(|vision| {
            let full = attention(vision.heads.head_dim, KvPrecision::F32);
            [Variant::Patchify, Variant::Rope, full, Variant::PatchMerge, Variant::Activation]
        });
        let all = products.chain(self.step(gpu, config, 1)).chain(others).chain(caches).chain(vision);
        all.map(Variant::kernel).collect()
    }

    /// The kernels of steps of so many rows, and those that judge them.
    pub fn step_kernels(&self, gpu: &Gpu, config: KernelConfig, rows: usize) -> Vec<Kernel> {
        let judges = [Variant::SampleScan, Variant::Accept];
        self.step(gpu, config, rows).into_iter().chain(judges).map(Variant::kernel).collect()
    }

    fn step(&self, gpu: &Gpu, config: KernelConfig, rows: usize) -> Vec<Variant> {
        let Heads { head_dim, pairs } = self.decoder;
        let of = |layout, cols, fused_outputs, norm| {
            Gemv::new((layout, MatrixShape { rows: 4, cols }), rows, fused_outputs, norm, Tuning::of(config))
        };
        let fits = |own: usize, layout| gemv::bindings(own, true, layout) <= gpu.max_bindings();
        let mut variants = vec![Variant::Matvec(of(self.head, INPUTS, 1, true))];
        for &layout in &self.step {
            variants.push(Variant::Matvec(of(layout, INPUTS / 2, 1, false)));
            if fits(2, layout) {
                variants.push(Variant::GatedMatvec(of(layout, INPUTS, 2, true)));
            }
            for &precision in &self.caches {
                let is_fused = fits(5, layout) && precision != KvPrecision::Int8 && head_dim.is_multiple_of(8);
                let gemv = of(layout, INPUTS, if is_fused { 2 } else { 1 }, true);
                variants.push(match is_fused {
                    true => Variant::QkvMatvec { gemv, head_dim, pairs, precision, has_bias: false },
                    false => Variant::Matvec(gemv),
                });
            }
        }
        let tuning = attention_step::Tuning::of(config);
        let rows = attention_step::rows_together(rows * self.group);
        for (&precision, is_split) in self.caches.iter().flat_map(|precision| [(precision, false), (precision, true)]) {
            variants.push(Variant::AttentionStep { head_dim, precision, rows, is_split, tuning });
        }
        variants.push(Variant::AttentionJoin { head_dim });
        variants
    }
}
