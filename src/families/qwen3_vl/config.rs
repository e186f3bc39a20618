//! The shape of a Qwen3-VL model: a decoder and, in vision models, the tower and its mergers.

use serde::{Deserialize, Serialize};

use crate::config::{MAX_HEADS, MAX_LAYERS, MAX_WIDTH, TextConfig, size_fault};
use crate::families::vision_faults::{head_fault, normalisation_fault, token_fault};

/// Decoder and picture side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// The decoder.
    pub text: TextConfig,
    /// The tower; absent if it was left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vision: Option<VisionConfig>,
}

impl Config {
    /// Returns the reason why this crate cannot run the model, if there is one.
    pub(crate) fn find_fault(&self) -> Option<String> {
        let vision = self.vision.as_ref();
        self.text.find_fault().or_else(|| vision.and_then(|vision| vision.find_fault(&self.text)))
    }
}

/// The tower: a plain transformer with layer norms and biases over patches in squares of `spatial_merge_size`, each of which becomes a
/// token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VisionConfig {
    /// Width of the tower.
    pub hidden_size: usize,
    /// Width of its feed-forward.
    pub intermediate_size: usize,
    /// Layers of the tower.
    pub num_hidden_layers: usize,
    /// Attention heads of the tower.
    pub num_attention_heads: usize,
    /// Side of a patch in pixels.
    pub patch_size: usize,
    /// Side of the square of patches that becomes one token.
    pub spatial_merge_size: usize,
    /// Side of the square table of learned positions.
    pub position_side: usize,
    /// Layers of the tower, in order, whose merged outputs are added after the first layers of the decoder (DeepStack).
    pub deepstack: Vec<usize>,
    /// Pixels that a picture is scaled up to, if it has fewer.
    pub min_pixels: usize,
    /// Pixels that a picture is scaled down to, if it has more.
    pub max_pixels: usize,
    /// Per-channel mean of the normalisation, in 0..1.
    pub image_mean: [f32; 3],
    /// Per-channel standard deviation of the normalisation, in 0..1.
    pub image_std: [f32; 3],
    /// Token that a picture's features replace.
    pub image_token_id: u32,
    /// Token before a picture.
    pub vision_start_token_id: u32,
    /// Token after a picture.
    pub vision_end_token_id: u32,
}

impl VisionConfig {
    /// Width of a head.
    pub(super) fn head_dim(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }

    /// Patches that become one token.
    pub(super) fn merged(&self) -> usize {
        self.spatial_merge_size * self.spatial_merge_size
    }

    /// Rows of features of a token: one that replaces its embedding, and one for each layer of [`Self::deepstack`].
    pub(super) fn rows_of_token(&self) -> usize {
        1 + self.deepstack.len()
    }

    /// For people.
    pub(in crate::families) fn summary(&self) -> String {
        let Self { num_hidden_layers, hidden_size, num_attention_heads, patch_size, spatial_merge_size, .. } = self;
        format!(
            "{num_hidden_layers} layers, {hidden_size} wide, {num_attention_heads} heads of {}, patches of {patch_size} merged by \
             {spatial_merge_size}, pictures up to {} pixels",
            self.head_dim(),
            self.max_pixels
        )
    }

    pub(in crate::families) fn find_fault(&self, text: &TextConfig) -> Option<String> {
        let sizes = [
            ("vision.num_attention_heads", self.num_attention_heads, 1, MAX_HEADS),
            ("vision.hidden_size", self.hidden_size, 4, MAX_WIDTH),
            ("vision.intermediate_size", self.intermediate_size, 4, MAX_WIDTH),
            ("vision.num_hidden_layers", self.num_hidden_layers, 1, MAX_LAYERS),
            ("vision.patch_size", self.patch_size, 2, 256),
            ("vision.position_side", self.position_side, 1, 1 << 10),
            ("vision.min_pixels", self.min_pixels, 1, 1 << 28),
            ("vision.max_pixels", self.max_pixels, 1, 1 << 28),
        ];
        let rising = self.deepstack.windows(2).all(|pair| pair[0] < pair[1]);
        let inside = self.deepstack.last().is_none_or(|&last| last < self.num_hidden_layers);
        let stacks = rising && inside && self.deepstack.len() <= text.layers.len();
        let merge = self.spatial_merge_size;
        let ids = [self.image_token_id, self.vision_start_token_id, self.vision_end_token_id];
        size_fault(&sizes)
            .or_else(|| head_fault(self.hidden_size, self.num_attention_heads))
            .or_else(|| (merge != 2).then(|| format!("spatial_merge_size is {merge}, only 2 is supported")))
            .or_else(|| (!stacks).then(|| format!("vision.deepstack is {:?}", self.deepstack)))
            .or_else(|| normalisation_fault(self.image_mean, self.image_std))
            .or_else(|| token_fault(&ids, text.vocab_size))
    }
}
