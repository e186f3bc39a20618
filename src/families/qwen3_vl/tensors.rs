//! The tensors of a model, in the order of use: tower, mergers, decoder.

use super::config::{Config, VisionConfig};
use crate::families::decoder_tensors::{self, HfPrefixes};
use crate::families::tensor_spec::{Role, TensorSpec};
use crate::layout::Layout;

/// Classes as nested in `transformers`, and text-only models.
pub(in crate::families) const DECODER: HfPrefixes =
    HfPrefixes { decoder: &["model.language_model.", "model."], head: &["", "model."] };
const PICTURES: &[&str] = &["model.visual.", "visual."];

pub(super) fn tensors(config: &Config) -> impl Iterator<Item = TensorSpec> + '_ {
    let vision = config.vision.iter().flat_map(|vision| vision_tensors(vision, config.text.hidden_size));
    vision.chain(decoder_tensors::tensors(&config.text, DECODER))
}

/// A tensor of a stage of the tower.
fn at(stage: usize, name: &str, shape: &[usize], hf: &str, gguf: &str) -> TensorSpec {
    TensorSpec::new(name, shape, Role::Vision(stage)).hf(PICTURES, hf).gguf(gguf)
}

/// A weight of that shape, and its bias.
fn biased(stage: usize, name: &str, shape: &[usize], hf: &str, gguf: &str) -> [TensorSpec; 2] {
    let weight = at(stage, name, shape, &format!("{hf}.weight"), &format!("{gguf}.weight"));
    let bias = at(stage, &format!("{name}.bias"), &shape[..1], &format!("{hf}.bias"), &format!("{gguf}.bias"));
    [weight, bias]
}

pub(in crate::families) fn vision_tensors(
    vision: &VisionConfig,
    text_hidden: usize,
) -> impl Iterator<Item = TensorSpec> + '_ {
    let (hidden, side, positions) = (vision.hidden_size, vision.patch_size, vision.position_side);
    // Pixels enter here, and it is a third of a percent of the tower: fewer than 16 bits would save little and lose much.
    let [patch_conv, patch_bias] =
        biased(0, "vision.patch_conv", &[hidden, 3 * side * side], "patch_embed.proj", "v.patch_embd");
    let patch_conv = TensorSpec {
        checkpoint_shape: Some(vec![hidden, 3, side, side]),
        floor: Some(Layout::F16),
        frames: Some(side * side),
        ..patch_conv
    };
    let table = [positions * positions * hidden];
    let position = TensorSpec {
        checkpoint_shape: Some(vec![positions * positions, hidden]),
        ..at(0, "vision.positions", &table, "pos_embed.weight", "v.position_embd.weight")
    };
    let last = 1 + vision.num_hidden_layers;
    [patch_conv, patch_bias, position]
        .into_iter()
        .chain((0..vision.num_hidden_layers).flat_map(move |index| layer(vision, text_hidden, index)))
        .chain(merger(
            vision,
            last,
            "merger",
            hidden,
            text_hidden,
            "merger",
            ["v.post_ln", "mm.0", "mm.2"].map(String::from),
        ))
}

fn layer(vision: &VisionConfig, text_hidden: usize, index: usize) -> impl Iterator<Item = TensorSpec> {
    let (hidden, ffn, merged) = (vision.hidden_size, vision.intermediate_size, vision.hidden_size * vision.merged());
    let at = |name: &str, shape: &[usize], gguf: &str| {
        let (hf, gguf) = (format!("blocks.{index}.{name}"), format!("v.blk.{index}.{gguf}"));
        biased(1 + index, &format!("vision.layers.{index}.{name}"), shape, &hf, &gguf)
    };
    let own = [
        at("norm1", &[hidden], "ln1"),
        at("attn.qkv", &[3 * hidden, hidden], "attn_qkv"),
        at("attn.proj", &[hidden, hidden], "attn_out"),
        at("norm2", &[hidden], "ln2"),
        at("mlp.linear_fc1", &[ffn, hidden], "ffn_up"),
        at("mlp.linear_fc2", &[hidden, ffn], "ffn_down"),
    ];
    let deep = vision.deepstack.iter().position(|&layer| layer == index).into_iter().flat_map(move |k| {
        let gguf = ["norm", "fc1", "fc2"].map(|name| format!("v.deepstack.{index}.{name}"));
        let (name, hf) = (format!("deepstack.{k}"), format!("deepstack_merger_list.{k}"));
        merger(vision, 1 + index, &name, merged, text_hidden, &hf, gguf)
    });
    own.into_iter().flatten().chain(deep.collect::<Vec<_>>())
}

/// A merger whose norm is over `normed` numbers.
fn merger(
    vision: &VisionConfig,
    stage: usize,
    name: &str,
    normed: usize,
    text_hidden: usize,
    hf: &str,
    [norm, first, second]: [String; 3],
) -> impl Iterator<Item = TensorSpec> + use<> {
    let merged = vision.hidden_size * vision.merged();
    let at = |part: &str, shape: &[usize], gguf: &str| {
        biased(stage, &format!("{name}.{part}"), shape, &format!("{hf}.{part}"), gguf)
    };
    [
        at("norm", &[normed], &norm),
        at("linear_fc1", &[merged, merged], &first),
        at("linear_fc2", &[text_hidden, merged], &second),
    ]
    .into_iter()
    .flatten()
}
