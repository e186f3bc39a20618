//! The tensors of a model, in the order of use: tower, projector, decoder.

use super::config::{Config, VisionConfig};
use crate::families::decoder_tensors::{self, HfPrefixes};
use crate::families::tensor_spec::{Columns, Pick, Role, Stored, TensorSpec};
use crate::layout::Layout;

const DECODER: HfPrefixes = HfPrefixes {
    decoder: &["model.language_model.", "language_model.model.", "model."],
    head: &["", "model.", "language_model."],
};
const TOWER: &[&str] = &["model.vision_tower.", "vision_tower."];
const PROJECTOR: &[&str] = &["model.embed_vision.", "embed_vision."];

pub(super) fn tensors(config: &Config) -> impl Iterator<Item = TensorSpec> + '_ {
    let vision = config.vision.iter().flat_map(|vision| vision_tensors(vision, config.text.hidden_size));
    vision.chain(decoder_tensors::tensors(&config.text, DECODER))
}

fn vision_tensors(vision: &VisionConfig, text_hidden: usize) -> impl Iterator<Item = TensorSpec> + '_ {
    let (hidden, side, positions) = (vision.hidden_size, vision.patch_size, vision.positions());
    let pixels = 3 * side * side;
    let patch_conv = TensorSpec {
        checkpoint_shape: Some(vec![hidden, 3, side, side]),
        // Pixels enter here: fewer than 16 bits would save little and lose much.
        floor: Some(Layout::F16),
        // Channels of a pixel are neighbours.
        columns: Some(Columns { first: 0, step: 3, runs: 3, count: pixels, of: pixels }),
        ..TensorSpec::new("vision.patch_conv", &[hidden, pixels], Role::Vision(0))
            .hf(TOWER, "patch_embedder.input_proj.weight")
            .gguf("v.patch_embd.weight")
    };
    // Rows that the largest picture reaches.
    let table = TensorSpec {
        checkpoint_shape: Some(vec![2, vision.position_embedding_size, hidden]),
        pick: Some(Pick::Runs { run: positions, of: vision.position_embedding_size, first: 0 }),
        ..TensorSpec::new("vision.positions", &[2 * positions * hidden], Role::Vision(0))
            .hf(TOWER, "patch_embedder.position_embedding_table")
            .gguf("v.position_embd.weight")
    };
    let projector = TensorSpec::new("projector", &[text_hidden, hidden], Role::Vision(1 + vision.num_hidden_layers))
        .hf(PROJECTOR, "embedding_projection.weight")
        .gguf("mm.input_projection.weight");
    [patch_conv, table]
        .into_iter()
        .chain((0..vision.num_hidden_layers).flat_map(move |index| layer(vision, index)))
        .chain([projector])
}

fn layer(vision: &VisionConfig, index: usize) -> impl Iterator<Item = TensorSpec> {
    let (hidden, ffn, dim) = (vision.hidden_size, vision.intermediate_size, vision.head_dim);
    let heads = vision.num_attention_heads * dim;
    let at = |name: &str, shape: &[usize], hf: &str, gguf: &str| {
        TensorSpec::new(format!("vision.layers.{index}.{name}"), shape, Role::Vision(1 + index))
            .hf(TOWER, &format!("encoder.layers.{index}.{hf}"))
            .gguf(format!("v.blk.{index}.{gguf}"))
    };
    let norm =
        |name: &str, hf: &str, gguf: &str| at(name, &[hidden], &format!("{hf}.weight"), &format!("{gguf}.weight"));
    let turned = |spec| TensorSpec { pick: Some(Pick::Axes(dim)), ..spec };
    let head_norm = |name: &str| {
        let hf = format!("self_attn.{name}.weight");
        turned(at(&format!("attn.{name}"), &[dim], &hf, &format!("attn_{name}.weight")))
    };
    let product = |name: &str, shape: [usize; 2], hf: &str, gguf: &str| {
        let bound = |kind: &str| TensorSpec {
            checkpoint_shape: Some(Vec::new()),
            stored: Stored::Bound,
            ..at(&format!("{name}.{kind}"), &[1], &format!("{hf}.{kind}"), &format!("{gguf}.{kind}"))
        };
        let bounds = ["input_min", "input_max", "output_min", "output_max"].map(bound);
        let weight = at(name, &shape, &format!("{hf}.linear.weight"), &format!("{gguf}.weight"));
        [weight].into_iter().chain(bounds.into_iter().take(if vision.clips { 4 } else { 0 })).collect::<Vec<_>>()
    };
    let norms = [
        norm("norm1", "input_layernorm", "ln1"),
        norm("post_norm1", "post_attention_layernorm", "attn_post_norm"),
        norm("norm2", "pre_feedforward_layernorm", "ln2"),
        norm("post_norm2", "post_feedforward_layernorm", "ffn_post_norm"),
        head_norm("q_norm"),
        head_norm("k_norm"),
    ];
    let turned_product = |name: &str, hf: &str, gguf: &str| {
        let specs = product(name, [heads, hidden], hf, gguf).into_iter();
        specs.map(|spec| if spec.is_matrix() { turned(spec) } else { spec }).collect()
    };
    let products = [
        turned_product("attn.q", "self_attn.q_proj", "attn_q"),
        turned_product("attn.k", "self_attn.k_proj", "attn_k"),
        product("attn.v", [heads, hidden], "self_attn.v_proj", "attn_v"),
        product("attn.o", [hidden, heads], "self_attn.o_proj", "attn_out"),
        product("mlp.gate", [ffn, hidden], "mlp.gate_proj", "ffn_gate"),
        product("mlp.up", [ffn, hidden], "mlp.up_proj", "ffn_up"),
        product("mlp.down", [hidden, ffn], "mlp.down_proj", "ffn_down"),
    ];
    norms.into_iter().chain(products.into_iter().flatten())
}
