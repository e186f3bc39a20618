//! Parts of a model's shape that families share: the decoder, its rotary embedding, activations, the precision of the KV cache.
//!
//! Knows nothing of files, weights or GPUs. Field names follow the Hugging Face configuration.

use serde::{Deserialize, Serialize};

use crate::error::Error;

mod rope;

pub use rope::{RopeConfig, RopePairs, YarnConfig, llama_3_divisors};

/// The decoder: a pre-norm transformer with grouped-query attention and a gated feed-forward.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TextConfig {
    /// Rows of the head, and of the embedding but for [`CrossConfig::extra_tokens`].
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the gated feed-forward.
    pub intermediate_size: usize,
    /// One entry a layer, in order.
    pub layers: Vec<LayerKind>,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key and value heads; divides the query heads.
    pub num_key_value_heads: usize,
    /// Width of one head; `heads * head_dim` need not be `hidden_size`.
    pub head_dim: usize,
    /// Epsilon of every `RMSNorm` in the decoder and of the projector's.
    pub rms_norm_eps: f32,
    /// Whether the head is the embedding.
    pub tie_word_embeddings: bool,
    /// Longest sequence the model was made for.
    pub max_position_embeddings: usize,
    /// Rotary embedding.
    pub rope: RopeConfig,
    /// Whether the queries and keys of every head are normed before the rotation.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub head_norms: bool,
    /// Whether attention's results are multiplied by gates, which are a product of its inputs like the queries.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub output_gate: bool,
    /// The sizes of layers of [`LayerKind::DeltaNet`]; absent in models without them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delta: Option<DeltaConfig>,
    /// What layers of [`LayerKind::CrossAttention`] read; absent in models without them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cross: Option<CrossConfig>,
    /// Query scale by position; absent in models without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query_scaling: Option<QueryScaling>,
}

/// A gated delta net (<https://arxiv.org/abs/2412.06464>) behind a convolution over four tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeltaConfig {
    /// Heads of the keys, and of the queries.
    pub key_heads: usize,
    /// Heads of the values; a multiple of the key heads.
    pub value_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Whether value head `i` has key head `i % key_heads`, as in GGUF files; else neighbours share one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tiled: bool,
}

impl DeltaConfig {
    /// Channels of the convolution: queries, keys and values.
    pub fn channels(&self) -> usize {
        (2 * self.key_heads + self.value_heads) * self.head_dim
    }

    /// Width of a row of all products of the inputs: channels, gates of the results, and two numbers a head.
    pub fn width(&self) -> usize {
        self.channels() + self.value_heads * (self.head_dim + 2)
    }
}

/// Pictures that layers of their own read, rather than tokens that stand for their parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrossConfig {
    /// The token that stands for a picture. It starts from its own row of the embedding.
    pub image_token_id: u32,
    /// Rows of the embedding behind those of the vocabulary: tokens that prompts may hold and that are never drawn.
    pub extra_tokens: usize,
    /// Rows of features of a picture at most.
    pub picture_rows: usize,
}

/// What a decoder layer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LayerKind {
    /// Causal self-attention over all earlier tokens, then a gated feed-forward.
    FullAttention,
    /// A recurrence over all earlier tokens, then a gated feed-forward.
    DeltaNet,
    /// Attention to the pictures of the last run of picture tokens, then a gated feed-forward. Tokens before the first picture skip it.
    CrossAttention,
}

/// Llama-4 query scaling: after rope, `q *= 1 + beta * ln(1 + floor(position / original_max_position_embeddings))`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QueryScaling {
    /// Strength.
    pub beta: f64,
    /// Positions in one step of the floor.
    pub original_max_position_embeddings: f64,
}

/// Pointwise activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `x * sigmoid(x)`.
    Silu,
    /// `x / 2 * (1 + erf(x / sqrt(2)))`.
    Gelu,
    /// The tanh approximation of gelu.
    GeluTanh,
}

/// How the cache of keys and values holds a number. A choice of whoever loads a model, not part of `model.json`.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", parse_err_ty = Error, parse_err_fn = no_precision)]
pub enum KvPrecision {
    /// 32-bit floats.
    F32,
    /// 16-bit floats.
    F16,
    /// 8-bit integers, with a 16-bit scale for the keys and one for the values of each head of each token.
    Int8,
}

impl KvPrecision {
    /// All of them, most exact first.
    pub const ALL: [Self; 3] = [Self::F32, Self::F16, Self::Int8];

    /// Bytes of a head of a token in each plane of a cache: keys, values, and of integers their scales.
    pub fn head_bytes(self, head_dim: usize) -> Vec<u64> {
        let width = head_dim as u64;
        match self {
            Self::F32 => vec![4 * width; 2],
            Self::F16 => vec![2 * width; 2],
            Self::Int8 => vec![width, width, 4],
        }
    }
}

fn no_precision(name: &str) -> Error {
    Error::request("kvPrecision", format!("{name:?} is none of f32, f16 and int8"))
}

/// Size of a picture in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PixelSize {
    /// Pixels from left to right.
    pub width: usize,
    /// Pixels from top to bottom.
    pub height: usize,
}

/// Size of one picture as the model sees it, in cells. What a cell is, and how many tokens it takes, the family says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageGrid {
    /// Rows of cells.
    pub rows: usize,
    /// Cells in a row.
    pub cols: usize,
}

/// Name, value, what it must be a multiple of, largest value.
pub(crate) type Size = (&'static str, usize, usize, usize);

pub(crate) fn size_fault(sizes: &[Size]) -> Option<String> {
    let bad = |&&(_, size, multiple, max): &&Size| size == 0 || size > max || !size.is_multiple_of(multiple);
    let (name, size, multiple, max) = sizes.iter().find(bad)?;
    Some(format!("{name} is {size}, it must be a multiple of {multiple} in {multiple}..={max}"))
}

pub(crate) fn number_fault(numbers: &[(&'static str, f64)]) -> Option<String> {
    let (name, number) = numbers.iter().find(|(_, x)| !(x.is_finite() && *x > 0.0))?;
    Some(format!("{name} is {number}, it must be a positive number"))
}

impl TextConfig {
    /// Layers of a kind.
    pub fn count(&self, kind: LayerKind) -> usize {
        self.layers.iter().filter(|layer| **layer == kind).count()
    }

    /// Rows of the embedding.
    pub fn embedding_rows(&self) -> usize {
        self.vocab_size + self.cross.as_ref().map_or(0, |cross| cross.extra_tokens)
    }

    fn cross_fault(&self) -> Option<String> {
        let Some(cross) = &self.cross else {
            return (self.count(LayerKind::CrossAttention) > 0)
                .then(|| "layers of cross-attention have no sizes".into());
        };
        if cross.image_token_id as usize >= self.vocab_size.saturating_add(cross.extra_tokens) {
            return Some(format!("picture token {} lies outside the embedding", cross.image_token_id));
        }
        // Extra rows are not there for a head that is the embedding.
        if self.tie_word_embeddings || self.layers.first() == Some(&LayerKind::CrossAttention) {
            return Some("cross-attention in the first layer, or a tied head beside it, is not supported".into());
        }
        let sizes = [
            ("picture rows", cross.picture_rows, 1, 1 << 16),
            ("extra tokens", cross.extra_tokens.saturating_add(1), 1, 1 << 16),
            // Rows of features begin where a binding may.
            ("hidden_size beside cross-attention", self.hidden_size, 64, MAX_WIDTH),
        ];
        size_fault(&sizes)
    }

    fn delta_fault(&self) -> Option<String> {
        if self.count(LayerKind::FullAttention) == 0 {
            return Some("no layer attends to earlier tokens".into());
        }
        let Some(delta) = &self.delta else {
            return (self.count(LayerKind::DeltaNet) > 0).then(|| "recurrent layers have no sizes".into());
        };
        let sizes = [
            ("linear key heads", delta.key_heads, 1, MAX_HEADS),
            ("linear value heads", delta.value_heads, delta.key_heads.max(1), MAX_HEADS),
            // A workgroup has 32 columns of a head.
            ("linear head_dim", delta.head_dim, 32, MAX_HEAD_DIM),
        ];
        size_fault(&sizes)
    }

    /// Why this crate's kernels cannot run such a decoder, if they cannot.
    pub(crate) fn find_fault(&self) -> Option<String> {
        let sizes = [
            ("vocab_size", self.vocab_size, 1, MAX_WIDTH),
            ("hidden_size", self.hidden_size, 4, MAX_WIDTH),
            ("intermediate_size", self.intermediate_size, 4, MAX_WIDTH),
            ("num_hidden_layers", self.layers.len(), 1, MAX_LAYERS),
            ("num_attention_heads", self.num_attention_heads, 1, MAX_HEADS),
            ("num_key_value_heads", self.num_key_value_heads, 1, MAX_HEADS),
            ("head_dim", self.head_dim, 4, MAX_HEAD_DIM),
            ("max_position_embeddings", self.max_position_embeddings, 1, 1 << 24),
        ];
        let mut numbers = vec![("rms_norm_eps", self.rms_norm_eps.into()), ("rope_theta", self.rope.theta)];
        if let Some(yarn) = &self.rope.yarn {
            numbers.extend([
                ("rope factor", yarn.factor),
                ("rope original_max_position_embeddings", yarn.original_max_position_embeddings),
                ("rope beta_fast", yarn.beta_fast),
                ("rope beta_slow", yarn.beta_slow),
                ("rope attention_factor", yarn.attention_factor),
            ]);
        }
        if let Some(divisors) = &self.rope.divisors {
            if divisors.len() != self.head_dim / 2 {
                return Some(format!("rope has {} divisors for heads of {}", divisors.len(), self.head_dim));
            }
            numbers.extend(divisors.iter().map(|divisor| ("rope divisor", f64::from(*divisor))));
        }
        let lanes = self.rope.pairs.lanes(self.head_dim);
        if lanes > self.head_dim || !lanes.is_multiple_of(4) || lanes == 0 {
            return Some(format!("rope turns {lanes} lanes of heads of {}", self.head_dim));
        }
        let sections = self.rope.sections.unwrap_or([lanes / 2, 0, 0]);
        if sections.iter().map(|&pairs| pairs as u64).sum::<u64>() != lanes as u64 / 2 {
            return Some(format!("rope has sections of {sections:?} for {lanes} lanes"));
        }
        if let Some(fault) = self.delta_fault().or_else(|| self.cross_fault()) {
            return Some(fault);
        }
        if let Some(scaling) = &self.query_scaling {
            numbers.push(("query_scaling original_max_position_embeddings", scaling.original_max_position_embeddings));
            if !scaling.beta.is_finite() {
                return Some(format!("query_scaling beta is {}", scaling.beta));
            }
        }
        size_fault(&sizes).or_else(|| number_fault(&numbers)).or_else(|| {
            let grouped = self.num_attention_heads.is_multiple_of(self.num_key_value_heads);
            (!grouped).then(|| "num_key_value_heads does not divide num_attention_heads".into())
        })
    }
}

/// Largest vocabulary and widest layer. Products of the limits here stay within 32 bits.
pub(crate) const MAX_WIDTH: usize = 1 << 20;
/// Most layers of a decoder or of a tower.
pub(crate) const MAX_LAYERS: usize = 1 << 10;
pub(crate) const MAX_HEADS: usize = 1 << 12;

/// Widest attention head the kernels hold in registers.
pub const MAX_HEAD_DIM: usize = 256;
