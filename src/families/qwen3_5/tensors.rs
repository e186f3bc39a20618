//! The tensors of a model, in the order of use: tower, merger, decoder.

use super::Config;
use crate::config::{DeltaConfig, LayerKind, TextConfig};
use crate::families::decoder_tensors;

use crate::families::qwen3_vl::tensors::{DECODER, vision_tensors};
use crate::families::tensor_spec::{Pick, Role, Stored, TensorSpec};
use crate::layout::Layout;

pub(super) fn tensors(config: &Config) -> impl Iterator<Item = TensorSpec> + '_ {
    let vision = config.vision.iter().flat_map(|vision| vision_tensors(vision, config.text.hidden_size));
    vision.chain(text_tensors(&config.text))
}

/// The tensors of the decoder.
pub(in crate::families) fn text_tensors(text: &TextConfig) -> impl Iterator<Item = TensorSpec> + '_ {
    decoder_tensors::tensors(text, DECODER).flat_map(|spec| adapted(text, spec))
}

/// The tensors of this decoder that correspond to one of a plain decoder.
fn adapted(text: &TextConfig, mut spec: TensorSpec) -> Vec<TensorSpec> {
    // The norms of the decoder are stored less 1.
    if !spec.is_matrix() {
        spec.stored = Stored::LessOne;
    }
    if spec.name.ends_with("post_attention_layernorm") {
        spec.gguf = spec.gguf.map(|name| name.replace("ffn_norm", "post_attention_norm"));
    }
    let Role::Layer(index) = spec.role else { return vec![spec] };
    let part = spec.name.rsplit('.').next().unwrap_or_default();
    let is_attention = spec.name.contains(".self_attn.");
    match (text.layers.get(index), &text.delta) {
        (Some(LayerKind::DeltaNet), Some(delta)) if part == "input_layernorm" => {
            [spec].into_iter().chain(delta_layer(text.hidden_size, delta, index)).collect()
        }
        (Some(LayerKind::DeltaNet), _) if is_attention => Vec::new(),
        // In checkpoints the gates of each head follow its queries.
        (Some(LayerKind::FullAttention), _) if part == "q_proj" => vec![half_of(text, spec, 0)],
        // Here all gates follow the values.
        (Some(LayerKind::FullAttention), _) if part == "v_proj" => {
            let q_width = text.num_attention_heads * text.head_dim;
            let name = |of: &str| of.replace("v_proj", "q_proj").replace("attn_v", "attn_q");
            let mut gate =
                TensorSpec::new(spec.name.replace("v_proj", "gate_proj"), &[q_width, text.hidden_size], spec.role);
            gate.hf = spec.hf.iter().map(|of| name(of)).collect();
            gate.gguf = spec.gguf.as_deref().map(name);
            gate.fuse.clone_from(&spec.fuse);
            vec![spec, half_of(text, gate, 1)]
        }
        _ => vec![spec],
    }
}

fn half_of(text: &TextConfig, spec: TensorSpec, half: usize) -> TensorSpec {
    let shape = vec![2 * spec.shape[0], spec.shape[1]];
    let pick = Pick::Runs { run: text.head_dim, of: 2 * text.head_dim, first: half * text.head_dim };
    TensorSpec { checkpoint_shape: Some(shape), pick: Some(pick), ..spec }
}

fn delta_layer(hidden: usize, delta: &DeltaConfig, index: usize) -> Vec<TensorSpec> {
    let DeltaConfig { value_heads, head_dim, .. } = *delta;
    let (channels, values) = (delta.channels(), value_heads * head_dim);
    let at = |name: &str, shape: &[usize], hf: &str, gguf: &str| {
        TensorSpec::new(format!("layers.{index}.linear_attn.{name}"), shape, Role::Layer(index))
            .hf(DECODER.decoder, &format!("layers.{index}.linear_attn.{hf}"))
            .gguf(format!("blk.{index}.{gguf}"))
    };
    let fused = |name: &str| format!("layers.{index}.linear_attn.{name}");
    // They determine the decays, and are less than a percent of a layer: fewer than 16 bits would save little and lose much.
    let fine = |spec: TensorSpec| TensorSpec { floor: Some(Layout::F16), ..spec.fuse(fused("in_proj_ba")) };
    let conv = at("conv1d", &[channels * 4], "conv1d.weight", "ssm_conv1d.weight");
    let rate = at("rate", &[value_heads], "A_log", "ssm_a");
    vec![
        at("in_proj_qkv", &[channels, hidden], "in_proj_qkv.weight", "attn_qkv.weight").fuse(fused("in_proj_qkvz")),
        at("in_proj_z", &[values, hidden], "in_proj_z.weight", "attn_gate.weight").fuse(fused("in_proj_qkvz")),
        fine(at("in_proj_b", &[value_heads, hidden], "in_proj_b.weight", "ssm_beta.weight")),
        fine(at("in_proj_a", &[value_heads, hidden], "in_proj_a.weight", "ssm_alpha.weight")),
        TensorSpec { checkpoint_shape: Some(vec![channels, 4]), ..conv },
        TensorSpec { stored: Stored::LogOfRate, ..rate },
        at("dt_bias", &[value_heads], "dt_bias", "ssm_dt.bias"),
        at("norm", &[head_dim], "norm.weight", "ssm_norm.weight"),
        at("out_proj", &[hidden, values], "out_proj.weight", "ssm_out.weight"),
    ]
}
