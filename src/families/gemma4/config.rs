//! The shape of a Gemma 4 model.

use serde::{Deserialize, Serialize};

use crate::config::{
    Activation, KvHeads, LayerKind, LayerOptions, MAX_HEADS, MAX_LAYERS, MAX_WIDTH, RopeConfig, RopePairs, TextConfig,
    Values, number_fault, size_fault,
};
use crate::families::vision_faults::token_fault;

/// Divisor of the frequencies of pairs that do not turn, as in GGUF files.
const STILL: f32 = 1e30;

/// Decoder and picture side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// The decoder.
    pub text: TextConfig,
    /// The picture side; absent where it was left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vision: Option<VisionConfig>,
}

impl Config {
    /// Returns the reason why this crate cannot run the model, if there is one.
    pub(crate) fn find_fault(&self) -> Option<String> {
        let vision = self.vision.as_ref();
        self.text.find_fault().or_else(|| vision.and_then(|vision| vision.find_fault(self.text.vocab_size)))
    }
}

/// The tower and the tokens of pictures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VisionConfig {
    /// Width of the tower.
    pub hidden_size: usize,
    /// Width of its gated feed-forward.
    pub intermediate_size: usize,
    /// Layers of the tower.
    pub num_hidden_layers: usize,
    /// Attention heads of the tower.
    pub num_attention_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Side of a patch in pixels.
    pub patch_size: usize,
    /// Side of the square of patches that becomes one token.
    pub pooling: usize,
    /// Most tokens of a picture.
    pub max_soft_tokens: usize,
    /// Rows of the tables of positions in checkpoints, for each axis.
    pub position_embedding_size: usize,
    /// True if inputs and outputs of products are clamped.
    pub clips: bool,
    /// Epsilon of every norm.
    pub rms_norm_eps: f32,
    /// Base of the rope.
    pub rope_theta: f64,
    /// Token that features replace.
    pub image_token_id: u32,
    /// Token before a picture.
    pub begin_token_id: u32,
    /// Token after a picture.
    pub end_token_id: u32,
}

impl VisionConfig {
    /// Rows of positions for each axis: as many as the largest picture has patches along an edge.
    pub(super) fn positions(&self) -> usize {
        self.position_embedding_size.min(self.pooling.saturating_mul(self.max_soft_tokens))
    }

    /// For people.
    pub(super) fn summary(&self) -> String {
        let Self { num_hidden_layers, hidden_size, num_attention_heads, head_dim, patch_size, .. } = self;
        format!(
            "{num_hidden_layers} layers, {hidden_size} wide, {num_attention_heads} heads of {head_dim}, patches of {patch_size}"
        )
    }

    fn find_fault(&self, vocab_size: usize) -> Option<String> {
        let sizes = [
            ("vision.num_attention_heads", self.num_attention_heads, 1, MAX_HEADS),
            // Halves of a head turn by two axes, in pairs.
            ("vision.head_dim", self.head_dim, 8, 256),
            ("vision.hidden_size", self.hidden_size, 4, MAX_WIDTH),
            ("vision.intermediate_size", self.intermediate_size, 4, MAX_WIDTH),
            ("vision.num_hidden_layers", self.num_hidden_layers, 1, MAX_LAYERS),
            ("vision.patch_size", self.patch_size, 2, 256),
            ("vision.pooling_kernel_size", self.pooling, 1, 16),
            ("vision.max_soft_tokens", self.max_soft_tokens, 1, 1 << 12),
            ("vision.position_embedding_size", self.position_embedding_size, 1, 1 << 20),
        ];
        let numbers = [("vision.rms_norm_eps", self.rms_norm_eps.into()), ("vision.rope_theta", self.rope_theta)];
        let ids = [self.image_token_id, self.begin_token_id, self.end_token_id];
        size_fault(&sizes).or_else(|| number_fault(&numbers)).or_else(|| token_fault(&ids, vocab_size))
    }
}

/// Sizes that differ among the models, in either kind of file.
#[derive(Debug)]
pub struct Sizes {
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the feed-forward.
    pub intermediate_size: usize,
    /// Width of the feed-forward in layers without keys, where it differs.
    pub shared_intermediate_size: Option<usize>,
    /// Kinds of the layers.
    pub layers: Vec<LayerKind>,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Keys and values of sliding layers.
    pub sliding: KvHeads,
    /// Keys and values of full layers.
    pub full: KvHeads,
    /// Tokens that sliding layers see.
    pub sliding_window: usize,
    /// The last layers, which have no keys and values.
    pub shared_kv_layers: usize,
    /// Width of a layer's part of per-layer embeddings.
    pub per_layer_inputs: Option<usize>,
    /// How values are made.
    pub values: Values,
    /// Epsilon of all norms.
    pub rms_norm_eps: f32,
    /// Soft cap of the logits.
    pub final_logit_softcapping: Option<f32>,
    /// Longest sequence.
    pub max_position_embeddings: usize,
    /// Base of the rope of full layers.
    pub theta: f64,
    /// Base of the rope of sliding layers.
    pub sliding_theta: f64,
    /// Divisors of the frequencies of full layers.
    pub divisors: Vec<f32>,
}

/// Divisors of a head's frequencies of which only a part turns: the first pairs, by exponents over the whole head.
pub fn proportional(head_dim: usize, part: f64) -> Vec<f32> {
    let turning = (part * head_dim as f64 / 2.0) as usize;
    (0..head_dim / 2).map(|pair| if pair < turning { 1.0 } else { STILL }).collect()
}

impl Sizes {
    /// The decoder of these sizes.
    pub fn text(self) -> TextConfig {
        let rope = |theta| RopeConfig::plain(theta, RopePairs::Half);
        TextConfig {
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            intermediate_size: self.intermediate_size,
            layers: self.layers,
            num_attention_heads: self.num_attention_heads,
            num_key_value_heads: self.sliding.count,
            head_dim: self.sliding.dim,
            rms_norm_eps: self.rms_norm_eps,
            tie_word_embeddings: true,
            max_position_embeddings: self.max_position_embeddings,
            rope: RopeConfig { divisors: Some(self.divisors), ..rope(self.theta) },
            head_norms: true,
            embedding_scale: Some((self.hidden_size as f32).sqrt()),
            final_logit_softcapping: self.final_logit_softcapping,
            layer_options: LayerOptions {
                hidden_act: Activation::GeluTanh,
                post_norms: true,
                sliding_window: Some(self.sliding_window),
                sliding_rope: Some(rope(self.sliding_theta)),
                // The head norms replace a scale.
                query_pre_attn_scalar: Some(1.0),
                attn_logit_softcapping: None,
                full_heads: Some(self.full),
                values: self.values,
                shared_kv_layers: self.shared_kv_layers,
                shared_intermediate_size: self.shared_intermediate_size,
                per_layer_inputs: self.per_layer_inputs,
                layer_scalars: true,
            },
            ..TextConfig::default()
        }
    }
}
