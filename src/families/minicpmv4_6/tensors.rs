//! The tensors of the mergers.

use super::config::VisionConfig;
use crate::families::tensor_spec::{Role, TensorSpec};

/// Prefixes of the tower in Hugging Face checkpoints.
pub(super) const TOWER: &[&str] = &["model.vision_tower.", "vision_tower."];
const MERGER: &[&str] = &["model.merger.mlp.0.", "merger.mlp.0."];

/// The tensors of the tower and its mergers, in the order of use.
pub(super) fn vision_tensors(vision: &VisionConfig, text_hidden: usize) -> impl Iterator<Item = TensorSpec> + '_ {
    let (tower, window) = (&vision.tower, vision.window_width());
    let (hidden, wide) = (tower.hidden_size, 4 * tower.intermediate_size);
    let pair = |stage: usize, (name, file, gguf): (&str, &str, &str), shape: &[usize], prefixes: &[&str]| {
        let part = |kind: &str, name: String, shape: &[usize]| {
            TensorSpec::new(name, shape, Role::Vision(stage))
                .hf(prefixes, &format!("{file}.{kind}"))
                .gguf(format!("{gguf}.{kind}"))
        };
        [part("weight", name.into(), shape), part("bias", format!("{name}.bias"), &shape[..1])]
    };
    let between = [
        (("vision.window.norm1", "vit_merger.layer_norm1", "v.vit_merger.ln1"), vec![hidden]),
        (("vision.window.attn.q", "vit_merger.self_attn.q_proj", "v.vit_merger.attn_q"), vec![hidden; 2]),
        (("vision.window.attn.k", "vit_merger.self_attn.k_proj", "v.vit_merger.attn_k"), vec![hidden; 2]),
        (("vision.window.attn.v", "vit_merger.self_attn.v_proj", "v.vit_merger.attn_v"), vec![hidden; 2]),
        (("vision.window.attn.o", "vit_merger.self_attn.out_proj", "v.vit_merger.attn_out"), vec![hidden; 2]),
        (("vision.window.norm2", "vit_merger.pre_norm", "v.vit_merger.ds_ln"), vec![window]),
        (("vision.window.fc1", "vit_merger.linear_1", "v.vit_merger.ds_ffn_up"), vec![wide, window]),
        (("vision.window.fc2", "vit_merger.linear_2", "v.vit_merger.ds_ffn_down"), vec![hidden, wide]),
    ];
    let last = [
        (("merger.norm", "pre_norm", "mm.input_norm"), vec![window]),
        (("merger.fc1", "linear_1", "mm.up"), vec![window; 2]),
        (("merger.fc2", "linear_2", "mm.down"), vec![text_hidden, window]),
    ];
    let stage = 1 + vision.merged_layer;
    let between = between.into_iter().flat_map(move |(names, shape)| pair(stage, names, &shape, TOWER));
    let stage = 1 + tower.num_hidden_layers;
    let last = last.into_iter().flat_map(move |(names, shape)| pair(stage, names, &shape, MERGER));
    let tower: Vec<TensorSpec> = tower.tensors(TOWER).collect();
    let after = |spec: &TensorSpec| matches!(spec.role, Role::Vision(stage) if stage > 1 + vision.merged_layer);
    let split = tower.iter().position(after).unwrap_or(tower.len());
    let (before, rest) = (tower[..split].to_vec(), tower[split..].to_vec());
    before.into_iter().chain(between).chain(rest).chain(last)
}
