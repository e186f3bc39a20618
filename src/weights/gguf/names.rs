//! Our tensor names in GGUF's spelling.

/// The rows of this table lie below `blk.N.`, ours below `layers.N.`.
const DECODER_LAYER: [(&str, &str); 9] = [
    ("input_layernorm", "attn_norm"),
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.o_proj", "attn_output"),
    ("post_attention_layernorm", "ffn_norm"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
];

/// Below `v.blk.N.` and `vision.layers.N.`.
const TOWER_LAYER: [(&str, &str); 9] = [
    ("attention_norm", "ln1"),
    ("attention.q_proj", "attn_q"),
    ("attention.k_proj", "attn_k"),
    ("attention.v_proj", "attn_v"),
    ("attention.o_proj", "attn_out"),
    ("ffn_norm", "ln2"),
    ("feed_forward.gate_proj", "ffn_gate"),
    ("feed_forward.up_proj", "ffn_up"),
    ("feed_forward.down_proj", "ffn_down"),
];

const SINGLE: [(&str, &str); 11] = [
    ("embed_tokens", "token_embd.weight"),
    ("norm", "output_norm.weight"),
    ("lm_head", "output.weight"),
    ("vision.patch_conv", "v.patch_embd.weight"),
    ("vision.ln_pre", "v.pre_ln.weight"),
    ("projector.norm", "mm.input_norm.weight"),
    ("projector.merging_layer", "mm.patch_merger.weight"),
    ("projector.linear_1", "mm.1.weight"),
    ("projector.linear_1.bias", "mm.1.bias"),
    ("projector.linear_2", "mm.2.weight"),
    ("projector.linear_2.bias", "mm.2.bias"),
];

/// The name under which a file holds the tensor `name`.
pub(in crate::weights) fn gguf_name(name: &str) -> String {
    let look_up = |table: &[(&str, &'static str)], ours: &str| {
        table.iter().find(|(own, _)| *own == ours).map(|(_, theirs)| *theirs)
    };
    let layered = |prefix: &str, blocks: &str, table: &[(&str, &'static str)]| {
        let (layer, rest) = name.strip_prefix(prefix)?.split_once('.')?;
        Some(format!("{blocks}.{layer}.{}.weight", look_up(table, rest)?))
    };
    layered("layers.", "blk", &DECODER_LAYER)
        .or_else(|| layered("vision.layers.", "v.blk", &TOWER_LAYER))
        .or_else(|| look_up(&SINGLE, name).map(String::from))
        .unwrap_or_else(|| name.into())
}

/// Whether a tensor belongs to the vision half.
pub(super) fn is_vision(gguf_name: &str) -> bool {
    gguf_name.starts_with("v.") || gguf_name.starts_with("mm.")
}

/// A copy of the embedding's row of the token that ends a row of a picture; the embedding itself is read.
pub(in crate::weights) const IMAGE_BREAK: &str = "v.token_embd.img_break";
