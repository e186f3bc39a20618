//! The tensors of a model, in the order of use: tower, projector, decoder. Gates are part of the matrices that they are multiplied with.

use super::config::{Config, VisionConfig};
use crate::config::{LayerKind, TextConfig};
use crate::families::decoder_tensors::{self, HfPrefixes};
use crate::families::tensor_spec::{Columns, Role, TensorSpec};
use crate::layout::Layout;

/// Published checkpoints, and classes as nested in `transformers`.
const DECODER: HfPrefixes = HfPrefixes {
    decoder: &["language_model.model.", "model.language_model."],
    head: &["language_model.", "", "model."],
};
const TOWER: &[&str] = &["vision_model.", "model.vision_model."];
const PROJECTOR: &[&str] = &["multi_modal_projector.", "model.multi_modal_projector."];

pub(super) fn tensors(config: &Config) -> impl Iterator<Item = TensorSpec> + '_ {
    let vision = config.vision.iter().flat_map(|vision| vision_tensors(vision, config.text.hidden_size));
    vision.chain(decoder_tensors::tensors(&config.text, DECODER).map(|spec| adapted(&config.text, spec)))
}

/// Adapts a tensor of a plain decoder. There are no GGUF files.
fn adapted(text: &TextConfig, spec: TensorSpec) -> TensorSpec {
    let spec = TensorSpec { gguf: None, ..spec };
    let Role::Layer(index) = spec.role else { return spec };
    if text.layers.get(index) != Some(&LayerKind::CrossAttention) {
        return spec;
    }
    let renamed = |name: &str| name.replace("self_attn", "cross_attn");
    let mut spec =
        TensorSpec { name: renamed(&spec.name), hf: spec.hf.iter().map(|name| renamed(name)).collect(), ..spec };
    let gate = |spec: TensorSpec, name: &str| spec.gated(DECODER.decoder, &format!("layers.{index}.{name}"), false);
    match spec.name.rsplit('.').next().unwrap_or_default() {
        "q_proj" => spec.fuse = None,
        "k_proj" | "v_proj" => spec.fuse = Some(format!("layers.{index}.cross_attn.kv_proj")),
        "o_proj" => spec = gate(spec, "cross_attn_attn_gate"),
        "down_proj" => spec = gate(spec, "cross_attn_mlp_gate"),
        _ => {}
    }
    spec
}

/// A tensor of a stage of the tower.
fn at(stage: usize, name: &str, shape: &[usize], hf: &str) -> TensorSpec {
    TensorSpec::new(format!("vision.{name}"), shape, Role::Vision(stage)).hf(TOWER, hf)
}

/// A layer norm.
fn norm(stage: usize, name: &str, hidden: usize, hf: &str) -> [TensorSpec; 2] {
    let bias = at(stage, &format!("{name}.bias"), &[hidden], &format!("{hf}.bias"));
    [at(stage, name, &[hidden], &format!("{hf}.weight")), bias]
}

fn vision_tensors(vision: &VisionConfig, text_hidden: usize) -> impl Iterator<Item = TensorSpec> + '_ {
    let VisionConfig { hidden_size: hidden, patch_size: side, num_hidden_layers: local, .. } = *vision;
    let last = 1 + vision.depth();
    let parts = (0..=vision.intermediate_layers.len()).map(move |part| projector(vision, text_hidden, part));
    let bias = TensorSpec::new("projector.bias", &[text_hidden], Role::Vision(last)).hf(PROJECTOR, "bias");
    // Pixels enter here, and it is less than a percent of the tower: fewer than 16 bits would save little and lose much.
    let patch_conv = TensorSpec {
        checkpoint_shape: Some(vec![hidden, 3, side, side]),
        floor: Some(Layout::F16),
        ..at(0, "patch_conv", &[hidden, 3 * side * side], "patch_embedding.weight")
    };
    [patch_conv, at(0, "class", &[hidden], "class_embedding")]
        .into_iter()
        .chain(positions(vision))
        .chain(norm(0, "ln_pre", hidden, "layernorm_pre"))
        .chain((0..vision.depth()).flat_map(move |index| layer(vision, index)))
        .chain(norm(1 + local, "ln_post", hidden, "layernorm_post"))
        .chain([tiles(vision, 1 + local, "post_tile", "post_tile_positional_embedding")])
        .chain(parts)
        .chain([bias])
}

/// One vector for each tile of each arrangement; arrangement 0 is unused.
fn tiles(vision: &VisionConfig, stage: usize, name: &str, hf: &str) -> TensorSpec {
    let (arrangements, width) = (1 + vision.arrangements().count(), vision.max_num_tiles * vision.hidden_size);
    TensorSpec {
        checkpoint_shape: Some(vec![arrangements, width]),
        ..at(stage, name, &[arrangements * width], &format!("{hf}.embedding.weight"))
    }
    .gated(TOWER, &format!("{hf}.gate"), false)
}

/// Positions within a tile, and further ones that also depend on tile and arrangement.
fn positions(vision: &VisionConfig) -> [TensorSpec; 3] {
    let VisionConfig { hidden_size: hidden, max_num_tiles: most, .. } = *vision;
    let (rows, arrangements, of) =
        (vision.tile_rows(), 1 + vision.arrangements().count(), "gated_positional_embedding");
    let gate = format!("{of}.gate");
    let plain = TensorSpec {
        checkpoint_shape: Some(vec![rows, hidden]),
        ..at(0, "positions", &[rows * hidden], &format!("{of}.embedding"))
    };
    let tile = TensorSpec {
        checkpoint_shape: Some(vec![arrangements, most * rows * hidden]),
        floor: Some(Layout::F16),
        ..at(0, "tile_positions", &[arrangements * most, rows * hidden], &format!("{of}.tile_embedding.weight"))
    };
    [
        plain.gated(TOWER, &gate, true),
        tile.gated(TOWER, &gate, false),
        tiles(vision, 0, "pre_tile", "pre_tile_positional_embedding"),
    ]
}

fn layer(vision: &VisionConfig, index: usize) -> impl Iterator<Item = TensorSpec> + use<> {
    let VisionConfig { hidden_size: hidden, intermediate_size: ffn, num_hidden_layers: local, .. } = *vision;
    let (stage, is_global) = (1 + index, index >= local);
    let of = if is_global {
        format!("global_transformer.layers.{}", index - local)
    } else {
        format!("transformer.layers.{index}")
    };
    let name = |part: &str| format!("layers.{index}.{part}");
    let matrix = |part: &str, shape: &[usize], hf: &str| at(stage, &name(part), shape, &format!("{of}.{hf}.weight"));
    let bias = |part: &str, width: usize, hf: &str| at(stage, &name(part), &[width], &format!("{of}.{hf}.bias"));
    let qkv = format!("vision.layers.{index}.attn.qkv");
    let gated = |spec: TensorSpec, gate: &str| {
        if is_global { spec.gated(TOWER, &format!("{of}.{gate}"), false) } else { spec }
    };
    let [norm1, norm1_bias] = norm(stage, &name("norm1"), hidden, &format!("{of}.input_layernorm"));
    let [norm2, norm2_bias] = norm(stage, &name("norm2"), hidden, &format!("{of}.post_attention_layernorm"));
    [
        norm1,
        norm1_bias,
        matrix("attn.q", &[hidden, hidden], "self_attn.q_proj").fuse(&qkv),
        matrix("attn.k", &[hidden, hidden], "self_attn.k_proj").fuse(&qkv),
        matrix("attn.v", &[hidden, hidden], "self_attn.v_proj").fuse(&qkv),
        gated(matrix("attn.o", &[hidden, hidden], "self_attn.o_proj"), "gate_attn"),
        norm2,
        norm2_bias,
        matrix("mlp.fc1", &[ffn, hidden], "mlp.fc1"),
        bias("mlp.fc1.bias", ffn, "mlp.fc1"),
        gated(matrix("mlp.fc2", &[hidden, ffn], "mlp.fc2"), "gate_ffn"),
        gated(bias("mlp.fc2.bias", hidden, "mlp.fc2"), "gate_ffn"),
    ]
    .into_iter()
}

/// The part of the projector for the tower's output (0) or for an intermediate state, each of which is projected as soon as it is computed. In
/// checkpoints the channels of all intermediate states are interleaved.
fn projector(vision: &VisionConfig, text_hidden: usize, part: usize) -> TensorSpec {
    let (hidden, listed) = (vision.hidden_size, vision.intermediate_layers.len());
    let of = hidden * (1 + listed);
    let (stage, first, step) = match part.checked_sub(1) {
        None => (1 + vision.depth(), 0, 1),
        Some(index) => (1 + vision.intermediate_layers[index], hidden + index, listed),
    };
    TensorSpec {
        checkpoint_shape: Some(vec![text_hidden, of]),
        columns: Some(Columns { first, step, runs: 1, count: hidden, of }),
        ..TensorSpec::new(format!("projector.{part}"), &[text_hidden, hidden], Role::Vision(stage))
            .hf(PROJECTOR, "weight")
    }
}
