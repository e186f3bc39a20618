//! The published models, number for number.

use ocelli::config::{CrossConfig, LayerKind, Llama3Rope, RopeConfig, RopePairs, TextConfig};
use ocelli::families::ModelConfig;
use ocelli::families::mllama::{Config, VisionConfig};

use super::Published;

/// Published models, smallest first.
pub(super) static PUBLISHED: [Published; 2] = [
    ("llama-3.2-11b-vision", || model((4096, 14_336, 40), 32)),
    ("llama-3.2-90b-vision", || model((8192, 28_672, 100), 64)),
];

/// `<|image|>`.
const IMAGE: u32 = 128_256;

/// Width, feed-forward and layers, every fifth of which reads pictures; query heads.
fn model((hidden_size, intermediate_size, layers): (usize, usize, usize), heads: usize) -> ModelConfig {
    let kind = |index: usize| if index % 5 == 3 { LayerKind::CrossAttention } else { LayerKind::FullAttention };
    let vision = VisionConfig {
        hidden_size: 1280,
        intermediate_size: 5120,
        num_hidden_layers: 32,
        num_global_layers: 8,
        num_attention_heads: 16,
        patch_size: 14,
        tile_size: 560,
        max_num_tiles: 4,
        intermediate_layers: vec![3, 7, 15, 23, 30],
        norm_eps: 1e-5,
        image_mean: [0.481_454_66, 0.457_827_5, 0.408_210_73],
        image_std: [0.268_629_54, 0.261_302_6, 0.275_777_1],
        image_token_id: IMAGE,
    };
    let picture_rows = vision.max_num_tiles * vision.tile_rows();
    let text = TextConfig {
        vocab_size: 128_256,
        hidden_size,
        intermediate_size,
        layers: (0..layers).map(kind).collect(),
        num_attention_heads: heads,
        num_key_value_heads: 8,
        head_dim: 128,
        rms_norm_eps: 1e-5,
        max_position_embeddings: 131_072,
        rope: RopeConfig {
            divisors: Some(Llama3Rope::published(128, 8.0).divisors()),
            ..RopeConfig::plain(5e5, RopePairs::Half)
        },
        cross: Some(CrossConfig { image_token_id: IMAGE, extra_tokens: 8, picture_rows }),
        ..TextConfig::default()
    };
    ModelConfig::Mllama(Config { text, vision: Some(vision) })
}
