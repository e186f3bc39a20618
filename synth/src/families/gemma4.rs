//! The published models, and the keys of their GGUF files.

use ocelli::config::{KvHeads, LayerKind, TextConfig, Values};
use ocelli::families::ModelConfig;
use ocelli::families::gemma4::{Config, Sizes, VisionConfig, proportional};

use super::Published;
use crate::gguf_header::GgufHeader;

/// Published models, smallest first; of the two larger ones the decoder alone.
pub(super) static PUBLISHED: [Published; 4] = [
    ("gemma-4-e2b", || model(&E2B)),
    ("gemma-4-e4b", || model(&E4B)),
    ("gemma-4-12b-text", || model(&SHAPE_12B)),
    ("gemma-4-31b-text", || model(&SHAPE_31B)),
];

/// Sizes in which the models differ.
struct Shape {
    hidden: usize,
    ffn: usize,
    /// Number of layers; every one of so many is full.
    layers: (usize, usize),
    heads: usize,
    /// Key heads of sliding and of full layers.
    kv_heads: [usize; 2],
    window: usize,
    shared: usize,
    per_layer: Option<usize>,
    doubles: bool,
    context: usize,
}

const E2B: Shape = Shape {
    hidden: 1536,
    ffn: 6144,
    layers: (35, 5),
    heads: 8,
    kv_heads: [1, 1],
    window: 512,
    shared: 20,
    per_layer: Some(256),
    doubles: true,
    context: 131_072,
};
const E4B: Shape =
    Shape { hidden: 2560, ffn: 10_240, layers: (42, 6), kv_heads: [2, 2], shared: 18, doubles: false, ..E2B };
const SHAPE_12B: Shape = Shape {
    hidden: 3840,
    ffn: 15_360,
    layers: (48, 6),
    heads: 16,
    kv_heads: [8, 1],
    window: 1024,
    shared: 0,
    per_layer: None,
    doubles: false,
    context: 262_144,
};
const SHAPE_31B: Shape =
    Shape { hidden: 5376, ffn: 21_504, layers: (60, 6), heads: 32, kv_heads: [16, 4], ..SHAPE_12B };

fn model(shape: &Shape) -> ModelConfig {
    let (count, every) = shape.layers;
    let kind = |layer: usize| match (layer + 1).is_multiple_of(every) {
        true => LayerKind::FullAttention,
        false => LayerKind::SlidingAttention,
    };
    let [sliding, full] = shape.kv_heads;
    let sizes = Sizes {
        vocab_size: 262_144,
        hidden_size: shape.hidden,
        intermediate_size: shape.ffn,
        shared_intermediate_size: shape.doubles.then_some(2 * shape.ffn),
        layers: (0..count).map(kind).collect(),
        num_attention_heads: shape.heads,
        sliding: KvHeads { count: sliding, dim: 256 },
        full: KvHeads { count: full, dim: 512 },
        sliding_window: shape.window,
        shared_kv_layers: shape.shared,
        per_layer_inputs: shape.per_layer,
        values: if shape.per_layer.is_some() { Values::Normed } else { Values::KeysInFullLayers },
        rms_norm_eps: 1e-6,
        final_logit_softcapping: Some(30.0),
        max_position_embeddings: shape.context,
        theta: 1e6,
        sliding_theta: 1e4,
        divisors: proportional(512, 0.25),
    };
    ModelConfig::Gemma4(Config { text: sizes.text(), vision: shape.per_layer.is_some().then(vision) })
}

/// The tower of the smaller models.
fn vision() -> VisionConfig {
    VisionConfig {
        hidden_size: 768,
        intermediate_size: 3072,
        num_hidden_layers: 16,
        num_attention_heads: 12,
        head_dim: 64,
        patch_size: 16,
        pooling: 3,
        max_soft_tokens: 280,
        position_embedding_size: 10_240,
        clips: true,
        rms_norm_eps: 1e-6,
        rope_theta: 100.0,
        image_token_id: 258_880,
        begin_token_id: 255_999,
        end_token_id: 258_882,
    }
}

/// The keys of the vision half.
pub(super) fn describe_vision(header: &mut GgufHeader, vision: &VisionConfig, text_hidden: usize) {
    header.set("general.architecture", "clip");
    header.set("general.type", "mmproj");
    header.set("clip.has_vision_encoder", true);
    header.set("clip.vision.projector_type", "gemma4v");
    let sizes = [
        ("patch_size", vision.patch_size),
        ("embedding_length", vision.hidden_size),
        ("feed_forward_length", vision.intermediate_size),
        ("block_count", vision.num_hidden_layers),
        ("attention.head_count", vision.num_attention_heads),
        ("projector.scale_factor", vision.pooling),
        ("projection_dim", text_hidden),
    ];
    for (key, size) in sizes {
        header.set(&format!("clip.vision.{key}"), size as u32);
    }
    header.set("clip.vision.attention.layer_norm_epsilon", vision.rms_norm_eps);
}

/// The keys of the text half.
pub(super) fn describe_text(header: &mut GgufHeader, text: &TextConfig) {
    let options = &text.layer_options;
    header.set("general.architecture", "gemma4");
    let of_layers =
        |size: &dyn Fn(usize) -> usize| (0..text.layers.len()).map(|layer| size(layer) as i32).collect::<Vec<_>>();
    let full = text.kv_heads(LayerKind::FullAttention);
    let sizes = [
        ("context_length", text.max_position_embeddings),
        ("embedding_length", text.hidden_size),
        ("embedding_length_per_layer_input", options.per_layer_inputs.unwrap_or(0)),
        ("block_count", text.layers.len()),
        ("attention.head_count", text.num_attention_heads),
        ("attention.key_length", full.dim),
        ("attention.value_length", full.dim),
        ("attention.key_length_swa", text.head_dim),
        ("attention.value_length_swa", text.head_dim),
        ("attention.sliding_window", options.sliding_window.unwrap_or(0)),
        ("attention.shared_kv_layers", options.shared_kv_layers),
        ("rope.dimension_count", full.dim),
        ("rope.dimension_count_swa", text.head_dim),
    ];
    for (name, size) in sizes {
        header.set(&format!("gemma4.{name}"), size as u32);
    }
    header.set("gemma4.feed_forward_length", of_layers(&|layer| text.ffn_width(layer)));
    header.set("gemma4.attention.head_count_kv", of_layers(&|layer| text.kv_heads(text.layers[layer]).count));
    header.set(
        "gemma4.attention.sliding_window_pattern",
        of_layers(&|layer| usize::from(text.layers[layer] == LayerKind::SlidingAttention)),
    );
    header.set("gemma4.attention.layer_norm_rms_epsilon", text.rms_norm_eps);
    header.set("gemma4.rope.freq_base", text.rope.theta as f32);
    header.set("gemma4.rope.freq_base_swa", options.sliding_rope.as_ref().map_or(1e4, |rope| rope.theta) as f32);
    header.set("gemma4.final_logit_softcapping", text.final_logit_softcapping.unwrap_or(30.0));
}
