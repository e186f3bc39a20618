//! The shape of a Mistral3 model: a decoder and, in vision models, the Pixtral tower and its projector.

use serde::{Deserialize, Serialize};

use crate::config::{
    Activation, MAX_HEAD_DIM, MAX_HEADS, MAX_LAYERS, MAX_WIDTH, RopePairs, TextConfig, number_fault, size_fault,
};
use crate::families::vision_faults::{normalisation_fault, token_fault};

/// Decoder, and for vision-language models tower, projector and picture tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// The decoder.
    pub text: TextConfig,
    /// The tower; absent in text-only models.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vision: Option<VisionConfig>,
}

impl Config {
    /// Returns the reason why this crate cannot run the model, if there is one.
    pub(crate) fn find_fault(&self) -> Option<String> {
        let vision = self.vision.as_ref();
        self.text.find_fault().or_else(|| vision.and_then(|vision| vision.find_fault(self.text.vocab_size)))
    }
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
    /// The projector's layers have biases.
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

impl VisionConfig {
    fn find_fault(&self, vocab_size: usize) -> Option<String> {
        if self.num_channels != 3 {
            return Some(format!("num_channels is {}, only 3 is supported", self.num_channels));
        }
        let sizes = [
            ("vision.hidden_size", self.hidden_size, 4, MAX_WIDTH),
            ("vision.intermediate_size", self.intermediate_size, 4, MAX_WIDTH),
            ("vision.num_hidden_layers", self.num_hidden_layers, 1, MAX_LAYERS),
            ("vision.num_attention_heads", self.num_attention_heads, 1, MAX_HEADS),
            ("vision.head_dim", self.head_dim, 8, MAX_HEAD_DIM),
            ("vision.patch_size", self.patch_size, 2, 256),
            ("vision.image_size", self.image_size, 1, 1 << 16),
            ("spatial_merge_size", self.spatial_merge_size, 1, 16),
        ];
        let numbers = [("vision.rope_theta", self.rope_theta), ("vision.rms_norm_eps", self.rms_norm_eps.into())];
        let ids = [self.image_token_id, self.image_break_token_id, self.image_end_token_id];
        size_fault(&sizes)
            .or_else(|| number_fault(&numbers))
            .or_else(|| normalisation_fault(self.image_mean, self.image_std))
            .or_else(|| token_fault(&ids, vocab_size))
    }
}
