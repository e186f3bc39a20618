//! The tensors of a plain decoder: grouped-query attention and a gated feed-forward with their norms, without biases, and per-layer
//! inputs in models that have them.

use super::tensor_spec::{Role, TensorSpec};
use crate::config::{KvHeads, LayerKind, TextConfig};
use crate::layers::per_layer::TABLE;
use crate::layout::Layout;

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
        .chain(per_layer(text, prefixes))
        .chain((0..text.layers.len()).flat_map(move |index| layer(text, prefixes, index)))
        .chain([norm])
        .chain((!text.tie_word_embeddings).then_some(lm_head))
}

fn layer(text: &TextConfig, prefixes: HfPrefixes, index: usize) -> impl Iterator<Item = TensorSpec> {
    let (hidden, ffn) = (text.hidden_size, text.ffn_width(index));
    let kind = text.layers.get(index).copied().unwrap_or(LayerKind::FullAttention);
    let KvHeads { count, dim } = text.kv_heads(kind);
    let (q_width, kv_width) = (text.num_attention_heads * dim, count * dim);
    let at = move |name: &str, shape: &[usize], gguf: &str| {
        let name = format!("layers.{index}.{name}");
        let hf = format!("{name}.weight");
        TensorSpec::new(name, shape, Role::Layer(index))
            .hf(prefixes.decoder, &hf)
            .gguf(format!("blk.{index}.{gguf}.weight"))
    };
    let qkv = || format!("layers.{index}.self_attn.qkv_proj");
    let gate_up = || format!("layers.{index}.mlp.gate_up_proj");
    let head_norm = move |name: &str, gguf: &str| at(name, &[dim], gguf);
    let head_norms = [("self_attn.q_norm", "attn_q_norm"), ("self_attn.k_norm", "attn_k_norm")];
    // With post-norms, the name of the norm before the feed-forward is that of the norm after attention.
    let has_post_norms = text.layer_options.post_norms;
    let ffn_norm = if has_post_norms { "pre_feedforward_layernorm" } else { "post_attention_layernorm" };
    let post_norms =
        [("post_attention_layernorm", "post_attention_norm"), ("post_feedforward_layernorm", "post_ffw_norm")];
    let post_norms = post_norms.into_iter().filter(move |_| has_post_norms);
    let post_norms = post_norms.map(move |(name, gguf)| at(name, &[hidden], gguf).beside_inputs());
    // A layer that reads keys of another one makes queries alone.
    let (owns_kv, has_values) = (text.owns_kv(index), text.owns_kv(index) && !text.keys_are_values(kind));
    let has_norms = text.head_norms || kind == LayerKind::CrossAttention;
    let head_norms = head_norms.into_iter().take(if owns_kv { 2 } else { 1 }).filter(move |_| has_norms);
    let head_norms = head_norms.map(move |(name, gguf)| head_norm(name, gguf));
    let projections = [
        at("input_layernorm", &[hidden], "attn_norm").beside_inputs(),
        at("self_attn.q_proj", &[q_width, hidden], "attn_q").fuse(qkv()),
    ];
    let keys = owns_kv.then(|| at("self_attn.k_proj", &[kv_width, hidden], "attn_k").fuse(qkv()));
    let values = has_values.then(|| at("self_attn.v_proj", &[kv_width, hidden], "attn_v").fuse(qkv()));
    let others = [
        at("self_attn.o_proj", &[hidden, q_width], "attn_output"),
        at(ffn_norm, &[hidden], "ffn_norm").beside_inputs(),
        at("mlp.gate_proj", &[ffn, hidden], "ffn_gate").fuse(gate_up()),
        at("mlp.up_proj", &[ffn, hidden], "ffn_up").fuse(gate_up()),
        at("mlp.down_proj", &[hidden, ffn], "ffn_down"),
    ];
    let per_layer = text.layer_options.per_layer_inputs.map(|width| {
        [
            at("per_layer_input_gate", &[width, hidden], "inp_gate"),
            at("per_layer_projection", &[hidden, width], "proj"),
            at("post_per_layer_input_norm", &[hidden], "post_norm").beside_inputs(),
        ]
    });
    let factor = text.layer_options.layer_scalars.then(|| {
        let factor = at("layer_scalar", &[1], "layer_output_scale");
        let name = factor.name.clone();
        factor.hf(prefixes.decoder, &name)
    });
    projections
        .into_iter()
        .chain(keys)
        .chain(values)
        .chain(others)
        .chain(head_norms)
        .chain(post_norms)
        .chain(per_layer.into_iter().flatten())
        .chain(factor)
}

/// The table of per-layer embeddings, the product of the first layer's inputs that is added to its rows, and the norm of that.
fn per_layer(text: &TextConfig, prefixes: HfPrefixes) -> impl Iterator<Item = TensorSpec> + use<> {
    let (all, hidden, vocab) = (text.per_layer_width(), text.hidden_size, text.vocab_size);
    let at = move |name: &str, shape: &[usize], role, gguf: &str| {
        TensorSpec::new(name, shape, role)
            .hf(prefixes.decoder, &format!("{name}.weight"))
            .gguf(format!("{gguf}.weight"))
    };
    let tensors = text.layer_options.per_layer_inputs.map(|width| {
        let projection = at("per_layer_model_projection", &[all, hidden], Role::Layer(0), "per_layer_model_proj");
        [
            at(TABLE, &[vocab, all], Role::Rows, "per_layer_token_embd"),
            // It feeds every layer, and published files hold it in 16 bits.
            TensorSpec { floor: Some(Layout::F16), ..projection },
            at("per_layer_projection_norm", &[width], Role::Layer(0), "per_layer_proj_norm"),
        ]
    });
    tensors.into_iter().flatten()
}
