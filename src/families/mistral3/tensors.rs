//! The tensors of a Mistral3 model, in the order of use: tower, projector, decoder.

use super::config::{Config, VisionConfig};
use crate::families::decoder_tensors::{self, HfPrefixes};
use crate::families::tensor_spec::{Role, TensorSpec};
use crate::layout::Layout;

/// Published checkpoints, classes as nested since `transformers` 4.52, and text-only models.
const DECODER: HfPrefixes = HfPrefixes {
    decoder: &["language_model.model.", "model.language_model.", "model."],
    head: &["language_model.", ""],
};
const PICTURES: &[&str] = &["", "model."];

pub(super) fn tensors(config: &Config) -> impl Iterator<Item = TensorSpec> + '_ {
    let vision = config.vision.iter().flat_map(|vision| vision_tensors(vision, config.text.hidden_size));
    vision.chain(decoder_tensors::tensors(&config.text, DECODER))
}

fn vision_tensors(vision: &VisionConfig, text_hidden: usize) -> impl Iterator<Item = TensorSpec> + '_ {
    let (hidden, channels, side) = (vision.hidden_size, vision.num_channels, vision.patch_size);
    let at = |name: &str, shape: &[usize], gguf: &str| {
        TensorSpec::new(format!("vision.{name}"), shape, Role::Vision(0))
            .hf(PICTURES, &format!("vision_tower.{name}.weight"))
            .gguf(gguf)
    };
    // Pixels enter here, and it is a third of a percent of the tower: fewer than 16 bits would save little and lose much.
    let patch_conv = TensorSpec {
        checkpoint_shape: Some(vec![hidden, channels, side, side]),
        floor: Some(Layout::F16),
        ..at("patch_conv", &[hidden, channels * side * side], "v.patch_embd.weight")
    };
    [patch_conv, at("ln_pre", &[hidden], "v.pre_ln.weight")]
        .into_iter()
        .chain((0..vision.num_hidden_layers).flat_map(|index| layer(vision, index)))
        .chain(projector(vision, text_hidden))
}

fn layer(vision: &VisionConfig, index: usize) -> [TensorSpec; 9] {
    let (hidden, ffn) = (vision.hidden_size, vision.intermediate_size);
    let width = vision.num_attention_heads * vision.head_dim;
    let at = |name: &str, shape: &[usize], gguf: &str| {
        TensorSpec::new(format!("vision.layers.{index}.{name}"), shape, Role::Vision(1 + index))
            .hf(PICTURES, &format!("vision_tower.transformer.layers.{index}.{name}.weight"))
            .gguf(format!("v.blk.{index}.{gguf}.weight"))
    };
    let gate_up = || format!("vision.layers.{index}.feed_forward.gate_up_proj");
    [
        at("attention_norm", &[hidden], "ln1"),
        at("attention.q_proj", &[width, hidden], "attn_q"),
        at("attention.k_proj", &[width, hidden], "attn_k"),
        at("attention.v_proj", &[width, hidden], "attn_v"),
        at("attention.o_proj", &[hidden, width], "attn_out"),
        at("ffn_norm", &[hidden], "ln2"),
        at("feed_forward.gate_proj", &[ffn, hidden], "ffn_gate").fuse(gate_up()),
        at("feed_forward.up_proj", &[ffn, hidden], "ffn_up").fuse(gate_up()),
        at("feed_forward.down_proj", &[hidden, ffn], "ffn_down"),
    ]
}

fn projector(vision: &VisionConfig, text_hidden: usize) -> impl Iterator<Item = TensorSpec> {
    let hidden = vision.hidden_size;
    let merged = hidden * vision.spatial_merge_size * vision.spatial_merge_size;
    let (stage, has_bias) = (1 + vision.num_hidden_layers, vision.projector_bias);
    let at = move |name: &str, shape: &[usize], hf: &str, gguf: &str| {
        TensorSpec::new(format!("projector.{name}"), shape, Role::Vision(stage))
            .hf(PICTURES, &format!("multi_modal_projector.{hf}"))
            .gguf(gguf)
    };
    let linear = move |index: usize, inputs: usize| {
        let (name, gguf) = (format!("linear_{index}"), format!("mm.{index}"));
        let weight = at(&name, &[text_hidden, inputs], &format!("{name}.weight"), &format!("{gguf}.weight"));
        let bias = format!("{name}.bias");
        [Some(weight), has_bias.then(|| at(&bias, &[text_hidden], &bias, &format!("{gguf}.bias")))]
            .into_iter()
            .flatten()
    };
    let merger = "patch_merger.merging_layer.weight";
    [
        at("norm", &[hidden], "norm.weight", "mm.input_norm.weight"),
        at("merging_layer", &[hidden, merged], merger, "mm.patch_merger.weight"),
    ]
    .into_iter()
    .chain(linear(1, hidden))
    .chain(linear(2, text_hidden))
}
