//! The published models, number for number, and the keys of their GGUF files.

use ocelli::config::{DeltaConfig, LayerKind, RopeConfig, RopePairs, TextConfig};
use ocelli::families::ModelConfig;
use ocelli::families::qwen3_5::Config;
use ocelli::families::qwen3_vl::VisionConfig;

use super::Published;
use super::decoder_keys::describe_text as describe_attention;
use super::qwen3_vl::tower;
use crate::gguf_header::GgufHeader;

/// Lanes of a head that rotate.
const LANES: usize = 64;

/// Published models, smallest first.
pub(super) static PUBLISHED: [Published; 5] = [
    ("qwen3.5-0.8b", || model((1024, 3584, 24), (8, 2), 16, true, small((768, 3072, 12), 12))),
    ("qwen3.5-2b", || model((2048, 6144, 24), (8, 2), 16, true, small((1024, 4096, 24), 16))),
    ("qwen3.5-4b", || model((2560, 9216, 32), (16, 4), 32, true, small((1024, 4096, 24), 16))),
    ("qwen3.5-9b", || model((4096, 12_288, 32), (16, 4), 32, false, small((1152, 4304, 27), 16))),
    ("qwen3.5-27b", || model((5120, 17_408, 64), (24, 4), 48, false, small((1152, 4304, 27), 16))),
];

/// A tower of that width, feed-forward and depth.
fn small((hidden_size, intermediate_size, layers): (usize, usize, usize), heads: usize) -> VisionConfig {
    VisionConfig {
        num_attention_heads: heads,
        deepstack: Vec::new(),
        image_token_id: 248_056,
        vision_start_token_id: 248_053,
        vision_end_token_id: 248_054,
        ..tower(hidden_size, intermediate_size, layers, [0, 1, 2])
    }
}

/// Width, feed-forward and layers; query and key heads; value heads of recurrent layers; whether the head is tied.
fn model(
    (hidden_size, intermediate_size, layers): (usize, usize, usize),
    (num_attention_heads, num_key_value_heads): (usize, usize),
    value_heads: usize,
    tied: bool,
    vision: VisionConfig,
) -> ModelConfig {
    let text =
        text((hidden_size, intermediate_size, layers), (num_attention_heads, num_key_value_heads), value_heads, tied);
    ModelConfig::Qwen3_5(Config { text, vision: Some(vision) })
}

/// The decoder of a model of that shape.
pub(super) fn text(
    (hidden_size, intermediate_size, layers): (usize, usize, usize),
    (num_attention_heads, num_key_value_heads): (usize, usize),
    value_heads: usize,
    tied: bool,
) -> TextConfig {
    let kind = |index: usize| if index % 4 == 3 { LayerKind::FullAttention } else { LayerKind::DeltaNet };
    TextConfig {
        vocab_size: 248_320,
        hidden_size,
        intermediate_size,
        layers: (0..layers).map(kind).collect(),
        num_attention_heads,
        num_key_value_heads,
        head_dim: 256,
        rms_norm_eps: 1e-6,
        tie_word_embeddings: tied,
        max_position_embeddings: 262_144,
        rope: RopeConfig { sections: Some([11, 11, 10]), ..RopeConfig::plain(1e7, RopePairs::First(LANES)) },
        head_norms: true,
        output_gate: true,
        delta: Some(DeltaConfig { key_heads: 16, value_heads, head_dim: 128, tiled: true }),
        ..TextConfig::default()
    }
}

/// The keys of the text model.
pub(super) fn describe_text(header: &mut GgufHeader, text: &TextConfig) {
    describe_attention(header, "qwen35", text);
    let Some(delta) = &text.delta else { return };
    let sizes = [
        ("conv_kernel", 4),
        ("state_size", delta.head_dim),
        ("group_count", delta.key_heads),
        ("time_step_rank", delta.value_heads),
        ("inner_size", delta.value_heads * delta.head_dim),
    ];
    for (name, size) in sizes {
        header.set(&format!("qwen35.ssm.{name}"), size as u32);
    }
    let marks: Vec<bool> = text.layers.iter().map(|kind| *kind == LayerKind::DeltaNet).collect();
    header.set("qwen35.attention.recurrent_layers", marks);
}
