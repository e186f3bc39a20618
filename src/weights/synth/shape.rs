//! The published models, number for number.

use crate::config::{Activation, LayerKind, QueryScaling, RopeConfig, RopePairs, TextConfig, YarnConfig};
use crate::families::mistral3::VisionConfig;
use crate::families::{ModelConfig, mistral3};

/// A published model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Ministral 3 3B.
    Ministral3B,
    /// Ministral 3 8B.
    Ministral8B,
    /// Ministral 3 14B.
    Ministral14B,
    /// Mistral Small 3.1 24B.
    MistralSmall24B,
}

impl Shape {
    /// All of them, smallest first.
    pub const ALL: [Self; 4] = [Self::Ministral3B, Self::Ministral8B, Self::Ministral14B, Self::MistralSmall24B];

    /// The model of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|shape| shape.name() == name)
    }

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ministral3B => "ministral-3-3b",
            Self::Ministral8B => "ministral-3-8b",
            Self::Ministral14B => "ministral-3-14b",
            Self::MistralSmall24B => "mistral-small-3.1-24b",
        }
    }

    /// The configuration, of the model and of rope in interleaved pairs as in GGUF files.
    pub fn config(self) -> ModelConfig {
        // Width, feed-forward, layers, base of rope.
        let (hidden_size, intermediate_size, layers, theta) = match self {
            Self::Ministral3B => (3072, 9216, 26, 1e6),
            Self::Ministral8B => (4096, 14_336, 34, 1e6),
            Self::Ministral14B => (5120, 16_384, 40, 1e9),
            Self::MistralSmall24B => (5120, 32_768, 40, 1e9),
        };
        let original = 16_384.0;
        let extended = self != Self::MistralSmall24B;
        let yarn = YarnConfig {
            factor: 16.0,
            original_max_position_embeddings: original,
            beta_fast: 32.0,
            beta_slow: 1.0,
            attention_factor: 1.0,
            truncate: true,
        };
        let query_scaling = QueryScaling { beta: 0.1, original_max_position_embeddings: original };
        let text = TextConfig {
            vocab_size: 131_072,
            hidden_size,
            intermediate_size,
            layers: vec![LayerKind::FullAttention; layers],
            num_attention_heads: 32,
            num_key_value_heads: 8,
            head_dim: 128,
            rms_norm_eps: 1e-5,
            tie_word_embeddings: self == Self::Ministral3B,
            max_position_embeddings: if extended { 262_144 } else { 131_072 },
            rope: RopeConfig { theta, pairs: RopePairs::Interleaved, yarn: extended.then_some(yarn) },
            query_scaling: extended.then_some(query_scaling),
        };
        ModelConfig::Mistral3(mistral3::Config { text, vision: Some(tower()) })
    }
}

/// The tower, the same in all of them.
fn tower() -> VisionConfig {
    VisionConfig {
        hidden_size: 1024,
        intermediate_size: 4096,
        num_hidden_layers: 24,
        num_attention_heads: 16,
        head_dim: 64,
        hidden_act: Activation::Silu,
        num_channels: 3,
        patch_size: 14,
        image_size: 1540,
        rope_theta: 10_000.0,
        rope_pairs: RopePairs::Interleaved,
        rms_norm_eps: 1e-5,
        spatial_merge_size: 2,
        projector_act: Activation::Gelu,
        projector_bias: false,
        image_mean: [0.481_454_66, 0.457_827_5, 0.408_210_73],
        image_std: [0.268_629_54, 0.261_302_6, 0.275_777_1],
        image_token_id: 10,
        image_break_token_id: 12,
        image_end_token_id: 13,
    }
}
