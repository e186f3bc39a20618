//! The published model, number for number, and the keys of its vision half in GGUF files.

use ocelli::config::TextConfig;
use ocelli::families::ModelConfig;
use ocelli::families::minicpmv4_6::{Config, Markers, VisionConfig};

use super::idefics3::{describe_siglip, siglip};
use super::{Published, qwen3_5};
use crate::gguf_header::GgufHeader;

/// The published model. Its markers are in their order, and not in their places.
pub(super) static PUBLISHED: [Published; 1] = [("minicpm-v-4.6", model)];

fn model() -> ModelConfig {
    let mut text = qwen3_5::text((1024, 3584, 24), (8, 2), 16, true);
    text.vocab_size = 248_094;
    text.rope.sections = None;
    let pair = |first: u32| [vec![first], vec![first + 1]];
    let vision = VisionConfig {
        tower: siglip((1152, 4304, 27), 16, (980, 14)),
        merged_layer: 6,
        scale_resolution: 448,
        max_slices: 9,
        image_token_id: 248_056,
        markers: Markers { whole: pair(248_077), slice: pair(248_079), row_end: vec![198] },
    };
    ModelConfig::MiniCpmV4_6(Config { text, vision: Some(vision) })
}

/// The keys of the text model. Converters write the usual sections of the rope.
pub(super) fn describe_text(header: &mut GgufHeader, text: &TextConfig) {
    qwen3_5::describe_text(header, text);
    header.set("qwen35.rope.dimension_sections", vec![11, 11, 10, 0]);
}

/// The keys of the vision half.
pub(super) fn describe_vision(header: &mut GgufHeader, vision: &VisionConfig, text_hidden: usize) {
    let tower = &vision.tower;
    let own = [("image_size", vision.scale_resolution), ("projection_dim", text_hidden), ("projector.scale_factor", 4)];
    describe_siglip(header, "minicpmv4_6", tower, &own);
    header.set("clip.vision.wa_layer_indexes", vec![vision.merged_layer as i32]);
    header.set("clip.vision.attention.layer_norm_epsilon", tower.layer_norm_eps);
}
