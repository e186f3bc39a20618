//! The published models, number for number, and the keys of their GGUF files.

use ocelli::config::{LayerKind, RopeConfig, RopePairs, TextConfig};
use ocelli::families::ModelConfig;
use ocelli::families::qwen3_vl::{Config, VisionConfig};

use super::Published;
use crate::gguf_header::GgufHeader;

/// Published models, smallest first. An embedding model has the shape of the one that it was trained from.
pub(super) static PUBLISHED: [Published; 4] = [
    ("qwen3-vl-2b", || model((2048, 6144, 28), 16, true, tower(1024, 4096, 24, [5, 11, 17]))),
    ("qwen3-vl-embedding-2b", || model((2048, 6144, 28), 16, true, tower(1024, 4096, 24, [5, 11, 17]))),
    ("qwen3-vl-4b", || model((2560, 9728, 36), 32, true, tower(1024, 4096, 24, [5, 11, 17]))),
    ("qwen3-vl-8b", || model((4096, 12_288, 36), 32, false, tower(1152, 4304, 27, [8, 16, 24]))),
];

/// Width, feed-forward and layers; query heads; whether the head is tied.
fn model(
    (hidden_size, intermediate_size, layers): (usize, usize, usize),
    heads: usize,
    tied: bool,
    vision: VisionConfig,
) -> ModelConfig {
    let text = TextConfig {
        vocab_size: 151_936,
        hidden_size,
        intermediate_size,
        layers: vec![LayerKind::FullAttention; layers],
        num_attention_heads: heads,
        num_key_value_heads: 8,
        head_dim: 128,
        rms_norm_eps: 1e-6,
        tie_word_embeddings: tied,
        max_position_embeddings: 262_144,
        rope: RopeConfig { sections: Some([24, 20, 20]), ..RopeConfig::plain(5e6, RopePairs::Half) },
        head_norms: true,
        ..TextConfig::default()
    };
    ModelConfig::Qwen3Vl(Config { text, vision: Some(vision) })
}

/// A tower of that width, feed-forward width and depth, with mergers after three of its layers.
pub(crate) fn tower(
    hidden_size: usize,
    intermediate_size: usize,
    layers: usize,
    deepstack: [usize; 3],
) -> VisionConfig {
    VisionConfig {
        hidden_size,
        intermediate_size,
        num_hidden_layers: layers,
        num_attention_heads: 16,
        patch_size: 16,
        spatial_merge_size: 2,
        position_side: 48,
        deepstack: deepstack.to_vec(),
        min_pixels: 65_536,
        max_pixels: 16_777_216,
        image_mean: [0.5; 3],
        image_std: [0.5; 3],
        image_token_id: 151_655,
        vision_start_token_id: 151_652,
        vision_end_token_id: 151_653,
    }
}

/// The keys of the vision half.
pub(crate) fn describe_vision(header: &mut GgufHeader, vision: &VisionConfig, text_hidden: usize) {
    header.set("general.architecture", "clip");
    header.set("general.type", "mmproj");
    header.set("clip.has_vision_encoder", true);
    header.set("clip.projector_type", "qwen3vl_merger");
    header.set("clip.use_gelu", true);
    let sizes = [
        ("image_size", vision.position_side * vision.patch_size),
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
    let marks: Vec<bool> = (0..vision.num_hidden_layers).map(|layer| vision.deepstack.contains(&layer)).collect();
    header.set("clip.vision.is_deepstack_layers", marks);
    header.set("clip.vision.attention.layer_norm_epsilon", 1e-6f32);
    header.set("clip.vision.image_mean", vision.image_mean.to_vec());
    header.set("clip.vision.image_std", vision.image_std.to_vec());
}
