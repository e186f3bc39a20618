//! Which tensors a model has: their names and shapes, in the order of their use.
//!
//! Names stay close to Hugging Face's, without their prefixes and without `.weight`.

use crate::config::TextConfig;
use crate::families::ModelConfig;
use crate::families::mistral3::VisionConfig;

/// A tensor that a model needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    /// Name in `model.json`.
    pub name: String,
    /// `[len]` of a vector or `[rows, cols]` of a matrix.
    pub shape: Vec<usize>,
}

impl TensorSpec {
    /// Numbers in the tensor.
    #[allow(clippy::len_without_is_empty, reason = "no tensor of a checked model is empty")]
    pub fn len(&self) -> u64 {
        self.shape.iter().map(|&size| size as u64).product()
    }
}

fn spec(name: impl Into<String>, shape: &[usize]) -> TensorSpec {
    TensorSpec { name: name.into(), shape: shape.to_vec() }
}

/// Every tensor of a model that passed [`ModelConfig::validate`], in the order of its use: tower, projector, embedding,
/// decoder layers, final norm, head. Lazy, since a hostile configuration may claim any number of layers.
pub fn model_tensors(config: &ModelConfig) -> impl Iterator<Item = TensorSpec> + '_ {
    let text = config.text();
    let vision = config.vision().into_iter().flat_map(|v| vision_tensors(v, text.hidden_size));
    let embedding = [text.vocab_size, text.hidden_size]; // [vocab, hidden]
    vision
        .chain([spec("embed_tokens", &embedding)])
        .chain((0..text.layers.len()).flat_map(|layer| decoder_layer(text, layer)))
        .chain([spec("norm", &[text.hidden_size])])
        .chain((!text.tie_word_embeddings).then(|| spec("lm_head", &embedding)))
}

fn vision_tensors(vision: &VisionConfig, text_hidden: usize) -> impl Iterator<Item = TensorSpec> + '_ {
    let hidden = vision.hidden_size;
    let patch = vision.num_channels * vision.patch_size * vision.patch_size;
    [spec("vision.patch_conv", &[hidden, patch]), spec("vision.ln_pre", &[hidden])]
        .into_iter()
        .chain((0..vision.num_hidden_layers).flat_map(|layer| vision_layer(vision, layer)))
        .chain(projector(vision, text_hidden))
}

fn vision_layer(vision: &VisionConfig, layer: usize) -> [TensorSpec; 9] {
    let (hidden, ffn) = (vision.hidden_size, vision.intermediate_size);
    let width = vision.num_attention_heads * vision.head_dim;
    let at = |name: &str, shape: &[usize]| spec(format!("vision.layers.{layer}.{name}"), shape);
    [
        at("attention_norm", &[hidden]),
        at("attention.q_proj", &[width, hidden]),
        at("attention.k_proj", &[width, hidden]),
        at("attention.v_proj", &[width, hidden]),
        at("attention.o_proj", &[hidden, width]),
        at("ffn_norm", &[hidden]),
        at("feed_forward.gate_proj", &[ffn, hidden]),
        at("feed_forward.up_proj", &[ffn, hidden]),
        at("feed_forward.down_proj", &[hidden, ffn]),
    ]
}

fn projector(vision: &VisionConfig, text_hidden: usize) -> Vec<TensorSpec> {
    let hidden = vision.hidden_size;
    let merged = hidden * vision.spatial_merge_size * vision.spatial_merge_size;
    let linear = |name: &str, shape: [usize; 2]| {
        let bias = vision.projector_bias.then(|| spec(format!("{name}.bias"), &shape[..1]));
        std::iter::once(spec(name, &shape)).chain(bias)
    };
    [spec("projector.norm", &[hidden]), spec("projector.merging_layer", &[hidden, merged])]
        .into_iter()
        .chain(linear("projector.linear_1", [text_hidden, hidden]))
        .chain(linear("projector.linear_2", [text_hidden, text_hidden]))
        .collect()
}

fn decoder_layer(text: &TextConfig, layer: usize) -> [TensorSpec; 9] {
    let (hidden, ffn) = (text.hidden_size, text.intermediate_size);
    let q_width = text.num_attention_heads * text.head_dim;
    let kv_width = text.num_key_value_heads * text.head_dim;
    let at = |name: &str, shape: &[usize]| spec(format!("layers.{layer}.{name}"), shape);
    [
        at("input_layernorm", &[hidden]),
        at("self_attn.q_proj", &[q_width, hidden]),
        at("self_attn.k_proj", &[kv_width, hidden]),
        at("self_attn.v_proj", &[kv_width, hidden]),
        at("self_attn.o_proj", &[hidden, q_width]),
        at("post_attention_layernorm", &[hidden]),
        at("mlp.gate_proj", &[ffn, hidden]),
        at("mlp.up_proj", &[ffn, hidden]),
        at("mlp.down_proj", &[hidden, ffn]),
    ]
}
