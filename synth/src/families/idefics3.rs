//! The published models, and the keys of their GGUF files.

use ocelli::config::{LayerKind, RopeConfig, RopePairs, TextConfig};
use ocelli::families::ModelConfig;
use ocelli::families::idefics3::{Config, Markers, VisionConfig};
use ocelli::families::siglip::Siglip;

use super::Published;
use crate::gguf_header::GgufHeader;

/// Published models, smallest first. The embedding of SmolVLM's models has a head of its own.
pub(super) static PUBLISHED: [Published; 4] = [
    ("smolvlm2-256m", || model(SMOL, (576, 1536, 30), (9, 3), 1e5, small_tower())),
    ("granite-docling-258m", || model(DOCLING, (576, 1536, 30), (9, 3), 1e5, small_tower())),
    ("smolvlm2-500m", || model(SMOL, (960, 2560, 32), (15, 5), 1e5, small_tower())),
    ("smolvlm2-2.2b", || model(SMOL, (2048, 8192, 24), (32, 32), 1.3e5, large_tower())),
];

/// A vocabulary: its size, whether the head is tied to it, and its tokens of pictures. Those of Granite-Docling are in their order, and not
/// in their places.
struct Vocabulary {
    size: usize,
    tied: bool,
    image: u32,
    edge: u32,
    whole: u32,
    /// `<row_1_col_1>`, and the distance to `<row_2_col_1>`.
    tiles: (u32, u32),
}

const SMOL: Vocabulary =
    Vocabulary { size: 49_280, tied: false, image: 49_190, edge: 49_189, whole: 49_152, tiles: (49_153, 6) };
const DOCLING: Vocabulary =
    Vocabulary { size: 100_352, tied: true, image: 100_270, edge: 100_272, whole: 100_273, tiles: (100_280, 4) };

/// Width, feed-forward and layers; heads of queries and of keys; base of the rope.
fn model(
    vocabulary: Vocabulary,
    (hidden_size, intermediate_size, layers): (usize, usize, usize),
    (num_attention_heads, num_key_value_heads): (usize, usize),
    theta: f64,
    (tower, scale_factor): (Siglip, usize),
) -> ModelConfig {
    let text = TextConfig {
        vocab_size: vocabulary.size,
        hidden_size,
        intermediate_size,
        layers: vec![LayerKind::FullAttention; layers],
        num_attention_heads,
        num_key_value_heads,
        head_dim: 64,
        rms_norm_eps: 1e-5,
        tie_word_embeddings: vocabulary.tied,
        max_position_embeddings: 8192,
        rope: RopeConfig::plain(theta, RopePairs::Interleaved),
        ..TextConfig::default()
    };
    let (first, row) = vocabulary.tiles;
    let markers = Markers {
        edge: vec![vocabulary.edge],
        whole: vec![vocabulary.whole],
        tiles: (0..16).map(|tile| vec![first + tile / 4 * row + tile % 4]).collect(),
        row_end: vec![198],
        last_row_end: vec![198; 2],
    };
    let (longest_edge, image_token_id) = (4 * tower.image_size, vocabulary.image);
    let vision = VisionConfig { tower, scale_factor, longest_edge, splits: true, image_token_id, markers };
    ModelConfig::Idefics3(Config { text, vision: Some(vision) })
}

/// The tower of models below 1B, and its scale factor.
fn small_tower() -> (Siglip, usize) {
    (siglip((768, 3072, 12), 12, (512, 16)), 4)
}

/// The tower of the 2.2B.
fn large_tower() -> (Siglip, usize) {
    (siglip((1152, 4304, 27), 16, (384, 14)), 3)
}

/// Width, feed-forward and layers; heads; side of a tile and of a patch.
pub(super) fn siglip(
    (hidden_size, intermediate_size, num_hidden_layers): (usize, usize, usize),
    num_attention_heads: usize,
    (image_size, patch_size): (usize, usize),
) -> Siglip {
    Siglip {
        hidden_size,
        intermediate_size,
        num_hidden_layers,
        num_attention_heads,
        image_size,
        patch_size,
        layer_norm_eps: 1e-6,
        image_mean: [0.5; 3],
        image_std: [0.5; 3],
    }
}

/// The keys of the vision half.
pub(super) fn describe_vision(header: &mut GgufHeader, vision: &VisionConfig, text_hidden: usize) {
    let tower = &vision.tower;
    let own = [
        ("image_size", tower.image_size),
        ("projection_dim", text_hidden),
        ("preproc_image_size", vision.longest_edge),
        ("projector.scale_factor", vision.scale_factor),
    ];
    describe_siglip(header, "idefics3", tower, &own);
    header.set("clip.vision.attention.layer_norm_epsilon", 1e-5f32);
}

/// The keys of the vision half with a SigLIP tower, but the epsilon, and sizes of the family's own.
pub(super) fn describe_siglip(header: &mut GgufHeader, projector: &str, tower: &Siglip, own: &[(&str, usize)]) {
    header.set("general.architecture", "clip");
    header.set("general.type", "mmproj");
    header.set("clip.has_vision_encoder", true);
    header.set("clip.projector_type", projector);
    header.set("clip.use_gelu", true);
    let sizes = [
        ("patch_size", tower.patch_size),
        ("embedding_length", tower.hidden_size),
        ("feed_forward_length", tower.intermediate_size),
        ("block_count", tower.num_hidden_layers),
        ("attention.head_count", tower.num_attention_heads),
    ];
    for (key, size) in sizes.iter().chain(own) {
        header.set(&format!("clip.vision.{key}"), *size as u32);
    }
    header.set("clip.vision.image_mean", tower.image_mean.to_vec());
    header.set("clip.vision.image_std", tower.image_std.to_vec());
}
