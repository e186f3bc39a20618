//! The Pixtral tower: a bidirectional transformer over the patches of one picture (`transformers` `modeling_pixtral.py`).
//!
//! Pictures never see one another, so each runs alone, at its own size. Only the residual stream, the keys and the values of all
//! patches are kept; everything else is computed for some rows at a time.

use std::ops::Range;

use super::linear::{FusedLinear, project};
use super::vision_work::Workspace;
use crate::error::Result;
use crate::families::mistral3::VisionConfig;
use crate::gpu::{Gpu, Purpose, Recording, Slice};
use crate::kernels::attention::{self, Attention, Heads, KeysValues};
use crate::kernels::patchify::{self, Patches};
use crate::kernels::{glu, rms_norm, rope as rope_kernel};
use crate::weights::upload::{Weight, WeightStore};

/// Weights between the pixels and the first layer.
#[derive(Debug)]
pub struct Stem {
    patch_conv: Weight,
    ln_pre: Slice,
}

/// Weights of one layer.
#[derive(Debug)]
pub struct Layer {
    attention_norm: Slice,
    q_proj: Weight,
    k_proj: Weight,
    v_proj: Weight,
    o_proj: Weight,
    ffn_norm: Slice,
    gate_up_proj: FusedLinear,
    down_proj: Weight,
}

/// A picture cut to whole patches. `// [height, width, 3]`
#[derive(Debug, Clone, Copy)]
pub struct Pixels<'a> {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Red, green and blue bytes, row by row.
    pub rgb: &'a [u8],
}

impl Pixels<'_> {
    /// How the tower cuts and normalises it.
    pub(super) fn patches(&self, config: &VisionConfig) -> Patches {
        let VisionConfig { patch_size, image_mean, image_std, .. } = *config;
        Patches { width: self.width, height: self.height, side: patch_size, mean: image_mean, std: image_std }
    }
}

impl Stem {
    /// Takes the stem's weights.
    ///
    /// # Errors
    /// [`crate::Error::InvalidPackage`] if one is missing.
    pub fn new(weights: &mut WeightStore) -> Result<Self> {
        Ok(Self { patch_conv: weights.matrix("vision.patch_conv")?, ln_pre: weights.vector("vision.ln_pre")? })
    }

    /// Records pixels to the first layer's input: patch convolution and its norm.
    pub(super) fn record(
        &self,
        gpu: &Gpu,
        recording: &mut Recording,
        work: &Workspace,
        pixels: &Pixels<'_>,
    ) -> Result<()> {
        let config = &work.config;
        let cut = pixels.patches(config);
        let words: Vec<u32> =
            pixels.rgb.as_chunks().0.iter().map(|&[r, g, b]| u32::from_le_bytes([r, g, b, 0])).collect();
        let picture = gpu.upload("pixels", Purpose::Activations, &words)?.all(); // [height, width]
        let (h, rows) = (work.h.all(), work.act.all());
        for range in work.chunks() {
            let x = work.rows(&work.x, &range, config.hidden_size); // [range, hidden]
            patchify::record(recording, &cut, range.clone(), &picture, &rows)?; // [range, 3 * side * side]
            project(recording, &self.patch_conv, &rows, range.len(), &h, false)?;
            rms_norm::record(recording, (range.len(), config.hidden_size), config.rms_norm_eps, &h, &self.ln_pre, &x)?;
        }
        Ok(())
    }
}

impl Layer {
    /// Takes the weights of layer `layer`.
    ///
    /// # Errors
    /// [`crate::Error::InvalidPackage`] if one is missing.
    pub fn new(weights: &mut WeightStore, layer: usize) -> Result<Self> {
        let at = |name: &str| format!("vision.layers.{layer}.{name}");
        Ok(Self {
            attention_norm: weights.vector(&at("attention_norm"))?,
            q_proj: weights.matrix(&at("attention.q_proj"))?,
            k_proj: weights.matrix(&at("attention.k_proj"))?,
            v_proj: weights.matrix(&at("attention.v_proj"))?,
            o_proj: weights.matrix(&at("attention.o_proj"))?,
            ffn_norm: weights.vector(&at("ffn_norm"))?,
            gate_up_proj: FusedLinear::new(weights, &at("feed_forward.gate_up_proj"))?,
            down_proj: weights.matrix(&at("feed_forward.down_proj"))?,
        })
    }

    /// Records the layer over the residual stream in `work.x`. Once the keys and values of all patches are there, no row needs
    /// another.
    pub(super) fn record(&self, recording: &mut Recording, work: &Workspace) -> Result<()> {
        for range in work.chunks() {
            self.keys_and_values(recording, work, &range)?;
        }
        for range in work.chunks() {
            self.self_attention(recording, work, &range)?;
            self.feed_forward(recording, work, &range)?;
        }
        Ok(())
    }

    fn normalise(&self, recording: &mut Recording, work: &Workspace, range: &Range<usize>, by: &Slice) -> Result<()> {
        let config = &work.config;
        let x = work.rows(&work.x, range, config.hidden_size); // [range, hidden]
        rms_norm::record(recording, (range.len(), config.hidden_size), config.rms_norm_eps, &x, by, &work.h.all())
    }

    fn keys_and_values(&self, recording: &mut Recording, work: &Workspace, range: &Range<usize>) -> Result<()> {
        let (h, width) = (work.h.all(), work.width());
        let (k, v) = (work.rows(&work.k, range, width), work.rows(&work.v, range, width)); // [range, heads * head_dim]
        self.normalise(recording, work, range, &self.attention_norm)?;
        project(recording, &self.k_proj, &h, range.len(), &k, false)?;
        project(recording, &self.v_proj, &h, range.len(), &v, false)?;
        self.turn(recording, work, range, &k)
    }

    /// Rotates the heads of queries or keys by their patches' places.
    fn turn(&self, recording: &mut Recording, work: &Workspace, range: &Range<usize>, heads: &Slice) -> Result<()> {
        let config = &work.config;
        let shape =
            rope_kernel::Heads { q: config.num_attention_heads, k: 0, dim: config.head_dim, pairs: config.rope_pairs };
        let angles = work.rows(&work.angles, range, config.head_dim); // [range, head_dim / 2, 2]
        rope_kernel::record(recording, shape, (range.len(), work.width()), heads, &angles, &work.ones.all())
    }

    fn self_attention(&self, recording: &mut Recording, work: &Workspace, range: &Range<usize>) -> Result<()> {
        let (config, width) = (&work.config, work.width());
        let (x, h) = (work.rows(&work.x, range, config.hidden_size), work.h.all());
        let (q, attn) = (work.wide.all(), work.act.all()); // [range, heads * head_dim]
        if !work.is_one_chunk() {
            self.normalise(recording, work, range, &self.attention_norm)?;
        }
        project(recording, &self.q_proj, &h, range.len(), &q, false)?;
        self.turn(recording, work, range, &q)?;
        let rows = |buffer: Slice| Heads { buffer, stride: width, offset: 0 };
        let every = 0..work.patches;
        attention::record(
            recording,
            &Attention {
                q: &rows(q),
                kv: KeysValues::Rows {
                    k: &rows(work.rows(&work.k, &every, width)),
                    v: &rows(work.rows(&work.v, &every, width)),
                },
                out: &attn,
                q_tokens: range.len(),
                kv_tokens: work.patches,
                q_heads: config.num_attention_heads,
                kv_heads: config.num_attention_heads,
                head_dim: config.head_dim,
                causal_past: None,
            },
        )?;
        project(recording, &self.o_proj, &attn, range.len(), &x, true)
    }

    fn feed_forward(&self, recording: &mut Recording, work: &Workspace, range: &Range<usize>) -> Result<()> {
        let config = &work.config;
        let x = work.rows(&work.x, range, config.hidden_size); // [range, hidden]
        let (h, gate_up, act) = (work.h.all(), work.wide.all(), work.act.all());
        self.normalise(recording, work, range, &self.ffn_norm)?;
        self.gate_up_proj.record(recording, &h, range.len(), &gate_up)?; // [range, gate | up]
        glu::record(recording, (range.len(), config.intermediate_size), config.hidden_act, &gate_up, &act)?;
        project(recording, &self.down_proj, &act, range.len(), &x, true)
    }
}
