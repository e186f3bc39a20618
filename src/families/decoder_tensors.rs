//! The tensors of a plain decoder: grouped-query attention and a gated feed-forward with their norms, without biases.

use super::tensor_spec::{Role, TensorSpec};
use crate::config::{LayerKind, TextConfig};

/// Prefixes of a decoder's tensors in Hugging Face checkpoints, likeliest first.
#[derive(Debug, Clone, Copy)]
pub struct HfPrefixes {
    /// Prefixes of the embedding, the layers and the final norm.
    pub decoder: &'static [&'static str],
    /// Prefixes of the output projection.
    pub head: &'static [&'static str],
}

/// Every tensor of the decoder in the order of use. Names are Hugging Face's without prefix and `.weight`; GGUF names are those that
/// llama.cpp's converters write.
pub fn tensors(text: &TextConfig, prefixes: HfPrefixes) -> impl Iterator<Item = TensorSpec> + '_ {
    let (head, embedding) = ([text.vocab_size, text.hidden_size], [text.embedding_rows(), text.hidden_size]); // [vocab, hidden] each
    let at = |prefixes, name: &str, shape: &[usize], role| {
        TensorSpec::new(name, shape, role).hf(prefixes, &format!("{name}.weight"))
    };
    let embed_tokens = at(prefixes.decoder, "embed_tokens", &embedding, Role::Embedding).gguf("token_embd.weight");
    let norm = at(prefixes.decoder, "norm", &[text.hidden_size], Role::Head).gguf("output_norm.weight").beside_inputs();
    let lm_head = at(prefixes.head, "lm_head", &head, Role::Head).gguf("output.weight");
    [embed_tokens]
        .into_iter()
        .chain((0..text.layers.len()).flat_map(move |index| layer(text, prefixes, index)))
        .chain([norm])
        .chain((!text.tie_word_embeddings).then_some(lm_head))
}

fn layer(text: &TextConfig, prefixes: HfPrefixes, index: usize) -> impl Iterator<Item = TensorSpec> {
    let (hidden, ffn) = (text.hidden_size, text.intermediate_size);
    let q_width = text.num_attention_heads * text.head_dim;
    let kv_width = text.num_key_value_heads * text.head_dim;
    let at = move |name: &str, shape: &[usize], gguf: &str| {
        let name = format!("layers.{index}.{name}");
        let hf = format!("{name}.weight");
        TensorSpec::new(name, shape, Role::Layer(index))
            .hf(prefixes.decoder, &hf)
            .gguf(format!("blk.{index}.{gguf}.weight"))
    };
    let qkv = || format!("layers.{index}.self_attn.qkv_proj");
    let gate_up = || format!("layers.{index}.mlp.gate_up_proj");
    let head_norm = move |name: &str, gguf: &str| at(name, &[text.head_dim], gguf);
    let head_norms = [("self_attn.q_norm", "attn_q_norm"), ("self_attn.k_norm", "attn_k_norm")];
    // With post-norms, the name of the norm before the feed-forward is that of the norm after attention.
    let has_post_norms = text.layer_options.post_norms;
    let ffn_norm = if has_post_norms { "pre_feedforward_layernorm" } else { "post_attention_layernorm" };
    let post_norms =
        [("post_attention_layernorm", "post_attention_norm"), ("post_feedforward_layernorm", "post_ffw_norm")];
    let post_norms = post_norms.into_iter().filter(move |_| has_post_norms);
    let post_norms = post_norms.map(move |(name, gguf)| at(name, &[hidden], gguf).beside_inputs());
    let has_norms = text.head_norms || text.layers.get(index) == Some(&LayerKind::CrossAttention);
    let head_norms = head_norms.into_iter().filter(move |_| has_norms).map(move |(name, gguf)| head_norm(name, gguf));
    [
        at("input_layernorm", &[hidden], "attn_norm").beside_inputs(),
        at("self_attn.q_proj", &[q_width, hidden], "attn_q").fuse(qkv()),
        at("self_attn.k_proj", &[kv_width, hidden], "attn_k").fuse(qkv()),
        at("self_attn.v_proj", &[kv_width, hidden], "attn_v").fuse(qkv()),
        at("self_attn.o_proj", &[hidden, q_width], "attn_output"),
        at(ffn_norm, &[hidden], "ffn_norm").beside_inputs(),
        at("mlp.gate_proj", &[ffn, hidden], "ffn_gate").fuse(gate_up()),
        at("mlp.up_proj", &[ffn, hidden], "ffn_up").fuse(gate_up()),
        at("mlp.down_proj", &[hidden, ffn], "ffn_down"),
    ]
    .into_iter()
    .chain(head_norms)
    .chain(post_norms)
}
