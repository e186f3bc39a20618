//! The Pixtral tower: a bidirectional transformer over the patches of one picture (`transformers` `modeling_pixtral.py`).
//!
//! Pictures never see one another, so each runs alone, at its own size.

use super::linear::{Stacked, project};
use super::rope;
use crate::config::VisionConfig;
use crate::error::Result;
use crate::gpu::{Buffer, Gpu, Purpose, Recording, Slice};
use crate::kernels::attention::{self, Attention, Heads, KeysValues};
use crate::kernels::patchify::{self, Patches};
use crate::kernels::{glu, rms_norm, rope as rope_kernel};
use crate::weights::upload::{Weight, WeightStore};

/// Rows of the feed-forward computed at a time, so that its wide intermediate results stay small.
const FFN_ROWS: usize = 1024;

/// The tower's weights.
#[derive(Debug)]
pub struct VisionTower {
    config: VisionConfig,
    patch_conv: Weight,
    ln_pre: Slice,
    layers: Vec<Layer>,
}

#[derive(Debug)]
struct Layer {
    attention_norm: Slice,
    qkv_proj: Stacked,
    o_proj: Weight,
    ffn_norm: Slice,
    gate_up_proj: Stacked,
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

/// The buffers of one picture's pass through the tower.
#[derive(Debug)]
pub(super) struct Workspace {
    /// Residual stream. `// [patches, hidden]`
    pub(super) x: Buffer,
    /// Normalised rows. `// [patches, hidden]`
    pub(super) h: Buffer,
    qkv: Buffer,     // [patches, 3 * heads * head_dim]
    attn: Buffer,    // [patches, heads * head_dim]
    gate_up: Buffer, // [FFN_ROWS, 2 * intermediate]
    act: Buffer,     // [FFN_ROWS, intermediate]
    angles: Buffer,  // [patches, head_dim / 2, 2]
    ones: Buffer,    // [patches]
    /// Patches in the picture.
    pub(super) patches: usize,
}

/// Matrices that one launch can compute, for [`crate::weights::upload::Uploader`].
pub fn joins(config: &VisionConfig) -> Vec<Vec<String>> {
    (0..config.num_hidden_layers).flat_map(|layer| [qkv_names(layer), gate_up_names(layer)]).collect()
}

fn qkv_names(layer: usize) -> Vec<String> {
    ["q", "k", "v"].map(|name| format!("vision.layers.{layer}.attention.{name}_proj")).to_vec()
}

fn gate_up_names(layer: usize) -> Vec<String> {
    ["gate", "up"].map(|name| format!("vision.layers.{layer}.feed_forward.{name}_proj")).to_vec()
}

impl Layer {
    fn new(weights: &mut WeightStore, layer: usize) -> Result<Self> {
        let at = |name: &str| format!("vision.layers.{layer}.{name}");
        Ok(Self {
            attention_norm: weights.vector(&at("attention_norm"))?,
            qkv_proj: Stacked::new(weights, &qkv_names(layer))?,
            o_proj: weights.matrix(&at("attention.o_proj"))?,
            ffn_norm: weights.vector(&at("ffn_norm"))?,
            gate_up_proj: Stacked::new(weights, &gate_up_names(layer))?,
            down_proj: weights.matrix(&at("feed_forward.down_proj"))?,
        })
    }
}

impl VisionTower {
    /// Takes the tower's weights.
    ///
    /// # Errors
    /// [`crate::Error::InvalidPackage`] if one is missing.
    pub fn new(config: &VisionConfig, weights: &mut WeightStore) -> Result<Self> {
        Ok(Self {
            config: config.clone(),
            patch_conv: weights.matrix("vision.patch_conv")?,
            ln_pre: weights.vector("vision.ln_pre")?,
            layers: (0..config.num_hidden_layers).map(|layer| Layer::new(weights, layer)).collect::<Result<_>>()?,
        })
    }

    /// Layers of the tower.
    pub(super) fn depth(&self) -> usize {
        self.layers.len()
    }

    fn patches(&self, pixels: &Pixels<'_>) -> Patches {
        let VisionConfig { patch_size, image_mean, image_std, .. } = self.config;
        Patches { width: pixels.width, height: pixels.height, side: patch_size, mean: image_mean, std: image_std }
    }

    pub(super) fn workspace(&self, gpu: &Gpu, pixels: &Pixels<'_>) -> Result<Workspace> {
        let (config, cut) = (&self.config, self.patches(pixels));
        let patches = cut.count();
        let alloc = |label, rows: usize, width: usize| {
            gpu.alloc(label, Purpose::Activations, (rows * width * size_of::<f32>()) as u64)
        };
        let width = config.num_attention_heads * config.head_dim;
        let ffn_rows = patches.min(FFN_ROWS);
        let angles =
            rope::vision_angles(config.rope_theta, config.head_dim, patches / cut.columns().max(1), cut.columns());
        Ok(Workspace {
            x: alloc("vision x", patches, config.hidden_size)?,
            h: alloc("vision h", patches, config.hidden_size)?,
            qkv: alloc("vision qkv", patches, 3 * width)?,
            attn: alloc("vision attn", patches, width)?,
            gate_up: alloc("vision gate_up", ffn_rows, 2 * config.intermediate_size)?,
            act: alloc("vision act", ffn_rows, config.intermediate_size)?,
            angles: gpu.upload("vision angles", Purpose::Activations, &angles)?,
            ones: gpu.upload("ones", Purpose::Activations, &vec![1.0_f32; patches])?,
            patches,
        })
    }

    /// Records pixels to the first layer's input: patch convolution and its norm.
    pub(super) fn record_patches(
        &self,
        gpu: &Gpu,
        recording: &mut Recording,
        work: &Workspace,
        pixels: &Pixels<'_>,
    ) -> Result<()> {
        let (config, cut) = (&self.config, self.patches(pixels));
        let words: Vec<u32> =
            pixels.rgb.as_chunks().0.iter().map(|&[r, g, b]| u32::from_le_bytes([r, g, b, 0])).collect();
        let picture = gpu.upload("pixels", Purpose::Activations, &words)?; // [height, width]
        let bytes = (work.patches * cut.numbers() * size_of::<f32>()) as u64;
        let rows = gpu.alloc("patches", Purpose::Activations, bytes)?.all(); // [patches, 3 * side * side]
        patchify::record(recording, &cut, &picture.all(), &rows)?;
        let (x, h) = (work.x.all(), work.h.all());
        project(recording, &self.patch_conv, &rows, work.patches, &h, false)?;
        rms_norm::record(recording, (work.patches, config.hidden_size), config.rms_norm_eps, &h, &self.ln_pre, &x)
    }

    /// Records layer `index` over the residual stream in `work.x`.
    pub(super) fn record_layer(&self, recording: &mut Recording, work: &Workspace, index: usize) -> Result<()> {
        let layer = &self.layers[index];
        self.self_attention(recording, work, layer)?;
        let row_bytes = (self.config.hidden_size * size_of::<f32>()) as u64;
        for first in (0..work.patches).step_by(FFN_ROWS) {
            let rows = FFN_ROWS.min(work.patches - first);
            let range = first as u64 * row_bytes..(first + rows) as u64 * row_bytes;
            self.feed_forward(recording, work, layer, rows, &work.x.slice(range))?;
        }
        Ok(())
    }

    fn self_attention(&self, recording: &mut Recording, work: &Workspace, layer: &Layer) -> Result<()> {
        let (config, patches) = (&self.config, work.patches);
        let (heads, head_dim) = (config.num_attention_heads, config.head_dim);
        let (x, h, qkv, attn) = (work.x.all(), work.h.all(), work.qkv.all(), work.attn.all());
        let stride = layer.qkv_proj.width();
        let shape = (patches, config.hidden_size);
        rms_norm::record(recording, shape, config.rms_norm_eps, &x, &layer.attention_norm, &h)?;
        layer.qkv_proj.record(recording, &h, patches, &qkv)?; // [patches, q | k | v]
        let turned = rope_kernel::Heads { q: heads, k: heads, dim: head_dim, pairs: config.rope_pairs };
        rope_kernel::record(recording, turned, (patches, stride), &qkv, &work.angles.all(), &work.ones.all())?;
        let part = |index: usize| Heads { buffer: qkv.clone(), stride, offset: index * heads * head_dim };
        attention::record(
            recording,
            &Attention {
                q: &part(0),
                kv: KeysValues::Rows { k: &part(1), v: &part(2) },
                out: &attn,
                q_tokens: patches,
                kv_tokens: patches,
                q_heads: heads,
                kv_heads: heads,
                head_dim,
                causal_past: None,
            },
        )?;
        project(recording, &layer.o_proj, &attn, patches, &x, true)
    }

    fn feed_forward(
        &self,
        recording: &mut Recording,
        work: &Workspace,
        layer: &Layer,
        rows: usize,
        x: &Slice,
    ) -> Result<()> {
        let config = &self.config;
        let (h, gate_up, act) = (work.h.all(), work.gate_up.all(), work.act.all());
        rms_norm::record(recording, (rows, config.hidden_size), config.rms_norm_eps, x, &layer.ffn_norm, &h)?;
        layer.gate_up_proj.record(recording, &h, rows, &gate_up)?; // [rows, gate | up]
        glu::record(recording, (rows, config.intermediate_size), config.hidden_act, &gate_up, &act)?;
        project(recording, &layer.down_proj, &act, rows, x, true)
    }
}
