//! The published models, number for number, and the keys of their GGUF files.

use ocelli::config::{Activation, LayerKind, QueryScaling, RopeConfig, RopePairs, TextConfig, YarnConfig};
use ocelli::families::ModelConfig;
use ocelli::families::mistral3::{Config, VisionConfig};

use super::Published;
use crate::gguf_header::GgufHeader;

/// Published models, smallest first.
pub(super) static PUBLISHED: [Published; 4] = [
    ("ministral-3-3b", || ministral_3(3072, 9216, 26, 1e6)),
    ("ministral-3-8b", || ministral_3(4096, 14_336, 34, 1e6)),
    ("ministral-3-14b", || ministral_3(5120, 16_384, 40, 1e9)),
    ("mistral-small-3.1-24b", || model(5120, 32_768, 40, 1e9)),
];

/// Ministral 3: a context extended by YaRN, and in the smallest a tied head.
fn ministral_3(hidden_size: usize, intermediate_size: usize, layers: usize, theta: f64) -> ModelConfig {
    let mut config = model(hidden_size, intermediate_size, layers, theta);
    let original = 16_384.0;
    let text = config.text_mut();
    text.rope.yarn = Some(YarnConfig {
        factor: 16.0,
        original_max_position_embeddings: original,
        beta_fast: 32.0,
        beta_slow: 1.0,
        attention_factor: 1.0,
        truncate: true,
    });
    text.query_scaling = Some(QueryScaling { beta: 0.1, original_max_position_embeddings: original });
    text.max_position_embeddings = 262_144;
    text.tie_word_embeddings = hidden_size == 3072;
    config
}

/// The common sizes, with rope in interleaved pairs as in GGUF files.
fn model(hidden_size: usize, intermediate_size: usize, layers: usize, theta: f64) -> ModelConfig {
    let text = TextConfig {
        vocab_size: 131_072,
        hidden_size,
        intermediate_size,
        layers: vec![LayerKind::FullAttention; layers],
        num_attention_heads: 32,
        num_key_value_heads: 8,
        head_dim: 128,
        rms_norm_eps: 1e-5,
        max_position_embeddings: 131_072,
        rope: RopeConfig::plain(theta, RopePairs::Interleaved),
        ..TextConfig::default()
    };
    ModelConfig::Mistral3(Config { text, vision: Some(tower()) })
}

/// The tower, which is the same in all models.
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

/// The keys of the vision half.
pub(super) fn describe_vision(header: &mut GgufHeader, vision: &VisionConfig, text_hidden: usize) {
    header.set("general.architecture", "clip");
    header.set("general.type", "mmproj");
    header.set("clip.has_vision_encoder", true);
    header.set("clip.projector_type", "pixtral");
    header.set("clip.use_silu", true);
    let sizes = [
        ("image_size", vision.image_size),
        ("patch_size", vision.patch_size),
        ("embedding_length", vision.hidden_size),
        ("feed_forward_length", vision.intermediate_size),
        ("block_count", vision.num_hidden_layers),
        ("attention.head_count", vision.num_attention_heads),
        ("spatial_merge_size", vision.spatial_merge_size),
        ("projection_dim", text_hidden),
    ];
    for (key, size) in sizes {
        header.set(&format!("clip.vision.{key}"), size as u32);
    }
    header.set("clip.vision.attention.layer_norm_epsilon", vision.rms_norm_eps);
    header.set("clip.vision.image_mean", vision.image_mean.to_vec());
    header.set("clip.vision.image_std", vision.image_std.to_vec());
}
