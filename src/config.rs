//! The shape of a model: what importers write into `model.json` and the model room reads back.
//!
//! Knows nothing of files, weights or GPUs. Field names follow the Hugging Face configuration.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A whole model: decoder, and for vision-language models the tower, the projector and the picture tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelConfig {
    /// The decoder.
    pub text: TextConfig,
    /// The picture side; absent in text-only models.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vision: Option<VisionConfig>,
}

/// The decoder: a pre-norm transformer with grouped-query attention and a gated feed-forward.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TextConfig {
    /// Rows of the embedding and of the head.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the gated feed-forward.
    pub intermediate_size: usize,
    /// One entry a layer, in order.
    pub layers: Vec<LayerKind>,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key and value heads; divides the query heads.
    pub num_key_value_heads: usize,
    /// Width of one head; `heads * head_dim` need not be `hidden_size`.
    pub head_dim: usize,
    /// Epsilon of every `RMSNorm` in the decoder and of the projector's.
    pub rms_norm_eps: f32,
    /// Whether the head is the embedding.
    pub tie_word_embeddings: bool,
    /// Longest sequence the model was made for.
    pub max_position_embeddings: usize,
    /// Rotary embedding.
    pub rope: RopeConfig,
    /// Query scale by position; absent in models without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query_scaling: Option<QueryScaling>,
}

/// What a decoder layer is. One kind today; other families bring cross-attention and recurrent layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LayerKind {
    /// Causal self-attention over all earlier tokens, then a gated feed-forward.
    FullAttention,
}

/// Rotary position embedding of the decoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RopeConfig {
    /// Base of the frequencies.
    pub theta: f64,
    /// Which lanes of a head form a pair.
    pub pairs: RopePairs,
    /// Context extension; absent for plain rope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub yarn: Option<YarnConfig>,
}

/// Which two lanes of a head rotate together. A property of the weight file, not of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RopePairs {
    /// Lanes `j` and `j + head_dim / 2`: Hugging Face checkpoints.
    Half,
    /// Lanes `2j` and `2j + 1`: consolidated and GGUF checkpoints.
    Interleaved,
}

/// `YaRN` (<https://arxiv.org/abs/2309.00071>), as `transformers` `modeling_rope_utils.py` computes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct YarnConfig {
    /// How much longer the extended context is.
    pub factor: f64,
    /// Context length before extension.
    pub original_max_position_embeddings: f64,
    /// Rotations above which a frequency is kept.
    pub beta_fast: f64,
    /// Rotations below which a frequency is divided by `factor`.
    pub beta_slow: f64,
    /// Factor on the cosine and sine tables, already worked out from `mscale`, `mscale_all_dim` or `attention_factor`.
    pub attention_factor: f64,
    /// Whether the two ends of the ramp are rounded to whole lanes.
    #[serde(default = "yes")]
    pub truncate: bool,
}

/// Llama-4 query scaling: after rope, `q *= 1 + beta * ln(1 + floor(position / original_max_position_embeddings))`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QueryScaling {
    /// Strength.
    pub beta: f64,
    /// Positions in one step of the floor.
    pub original_max_position_embeddings: f64,
}

/// The Pixtral tower, the patch merger and the projector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VisionConfig {
    /// Width of the tower.
    pub hidden_size: usize,
    /// Width of its gated feed-forward.
    pub intermediate_size: usize,
    /// Layers of the tower.
    pub num_hidden_layers: usize,
    /// Attention heads of the tower.
    pub num_attention_heads: usize,
    /// Width of one head.
    pub head_dim: usize,
    /// Activation of the gated feed-forward.
    pub hidden_act: Activation,
    /// Colour channels of a picture.
    pub num_channels: usize,
    /// Side of a patch in pixels.
    pub patch_size: usize,
    /// Longest edge of a picture in pixels; larger ones are scaled down.
    pub image_size: usize,
    /// Base of the two-dimensional rope.
    pub rope_theta: f64,
    /// Which lanes of a head form a pair.
    pub rope_pairs: RopePairs,
    /// Epsilon of the tower's norms.
    pub rms_norm_eps: f32,
    /// Side of the square of patches that becomes one token.
    pub spatial_merge_size: usize,
    /// Activation between the projector's two layers.
    pub projector_act: Activation,
    /// Whether the projector's layers have a bias.
    #[serde(default)]
    pub projector_bias: bool,
    /// Per-channel mean of the normalisation, in 0..1.
    pub image_mean: [f32; 3],
    /// Per-channel standard deviation of the normalisation, in 0..1.
    pub image_std: [f32; 3],
    /// Token that a picture's features replace.
    pub image_token_id: u32,
    /// Token that ends a row of a picture.
    pub image_break_token_id: u32,
    /// Token that ends a picture.
    pub image_end_token_id: u32,
}

/// Pointwise activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `x * sigmoid(x)`.
    Silu,
    /// `x / 2 * (1 + erf(x / sqrt(2)))`.
    Gelu,
    /// The tanh approximation of gelu.
    GeluTanh,
}

fn yes() -> bool {
    true
}

impl ModelConfig {
    /// Checks that the sizes fit one another and this crate's kernels.
    ///
    /// # Errors
    /// [`Error::UnsupportedArchitecture`] that names `file` and the size.
    pub fn validate(&self, file: &str) -> Result<()> {
        let refuse = |reason: String| Error::UnsupportedArchitecture {
            file: file.into(),
            architecture: "mistral3".into(),
            reason,
        };
        let text = &self.text;
        let mut sizes = vec![
            ("vocab_size", text.vocab_size, 1),
            ("hidden_size", text.hidden_size, 4),
            ("intermediate_size", text.intermediate_size, 4),
            ("num_attention_heads", text.num_attention_heads, 1),
            ("num_key_value_heads", text.num_key_value_heads, 1),
            ("head_dim", text.head_dim, 4),
            ("max_position_embeddings", text.max_position_embeddings, 1),
        ];
        if let Some(vision) = &self.vision {
            sizes.extend([
                ("vision.hidden_size", vision.hidden_size, 4),
                ("vision.intermediate_size", vision.intermediate_size, 4),
                ("vision.num_attention_heads", vision.num_attention_heads, 1),
                ("vision.head_dim", vision.head_dim, 4),
                ("vision.patch_size", vision.patch_size, 1),
                ("vision.image_size", vision.image_size, 1),
                ("spatial_merge_size", vision.spatial_merge_size, 1),
            ]);
            if vision.num_channels != 3 {
                return Err(refuse(format!("num_channels is {}, only 3 is supported", vision.num_channels)));
            }
            if !(vision.num_channels * vision.patch_size * vision.patch_size).is_multiple_of(4) {
                return Err(refuse(format!("patch_size {} is odd", vision.patch_size)));
            }
        }
        for (name, size, multiple) in sizes {
            if size == 0 || size > 1 << 24 || !size.is_multiple_of(multiple) {
                return Err(refuse(format!("{name} is {size}, it must be a positive multiple of {multiple}")));
            }
        }
        for (name, size) in [("head_dim", text.head_dim), ("vision.head_dim", self.vision.as_ref().map_or(4, |v| v.head_dim))] {
            if size > MAX_HEAD_DIM {
                return Err(refuse(format!("{name} is {size}, at most {MAX_HEAD_DIM} is supported")));
            }
        }
        if !text.num_attention_heads.is_multiple_of(text.num_key_value_heads) {
            return Err(refuse("num_key_value_heads does not divide num_attention_heads".into()));
        }
        Ok(())
    }
}

/// Widest attention head the kernels hold in registers.
pub const MAX_HEAD_DIM: usize = 256;
