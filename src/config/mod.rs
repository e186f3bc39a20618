//! Parts of a model's configuration that families share: the decoder, its layers, its rotary embedding, the precision of the KV cache.
//!
//! Independent of files, weights and GPUs. Field names follow the Hugging Face configuration.

use serde::{Deserialize, Serialize};

use crate::error::Error;

mod check;
mod layer;
mod rope;

pub(crate) use check::{number_fault, size_fault};
pub use layer::{LayerKind, LayerOptions, Values};
pub use rope::{Llama3Rope, RopeConfig, RopePairs, YarnConfig};

/// A decoder: a transformer with grouped-query attention and a gated feed-forward. Sizes of the default are 0.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TextConfig {
    /// Rows of the head. The embedding has [`CrossConfig::extra_tokens`] more.
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
    /// Epsilon of every `RMSNorm` of the decoder and the projector.
    pub rms_norm_eps: f32,
    /// True if the head is the embedding.
    pub tie_word_embeddings: bool,
    /// Longest sequence the model was trained for.
    pub max_position_embeddings: usize,
    /// Rotary embedding, of all layers unless [`LayerOptions::sliding_rope`] says otherwise.
    pub rope: RopeConfig,
    /// True if the queries and keys of every head are normed before the rotation.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub head_norms: bool,
    /// True if the results of attention are multiplied by gates, which are computed from its inputs like the queries.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub output_gate: bool,
    /// Sizes of layers of [`LayerKind::DeltaNet`]; absent in models without them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delta: Option<DeltaConfig>,
    /// Pictures that layers of [`LayerKind::CrossAttention`] read; absent in models without them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cross: Option<CrossConfig>,
    /// Query scale by position; absent in models without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query_scaling: Option<QueryScaling>,
    /// Factor of embeddings, not of the head and not of features; 1 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding_scale: Option<f32>,
    /// Soft cap of the logits: `cap * tanh(logit / cap)`; absent in models without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub final_logit_softcapping: Option<f32>,
    /// Options of the layers.
    #[serde(default, skip_serializing_if = "LayerOptions::is_default")]
    pub layer_options: LayerOptions,
}

/// A gated delta net (<https://arxiv.org/abs/2412.06464>) after a convolution over four tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeltaConfig {
    /// Heads of the keys, and of the queries.
    pub key_heads: usize,
    /// Heads of the values; a multiple of the key heads.
    pub value_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// True if value head `i` uses key head `i % key_heads`, as in GGUF files; else neighbours share one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tiled: bool,
}

impl DeltaConfig {
    /// Channels of the convolution: queries, keys and values.
    pub fn channels(&self) -> usize {
        (2 * self.key_heads + self.value_heads) * self.head_dim
    }

    /// Width of the fused projection of the inputs: channels, gates of the results, and two numbers a head.
    pub fn width(&self) -> usize {
        self.channels() + self.value_heads * (self.head_dim + 2)
    }
}

/// Pictures that are read by layers of their own instead of in place of image tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrossConfig {
    /// Token that marks a picture in the prompt. It has a row of the embedding.
    pub image_token_id: u32,
    /// Rows of the embedding after those of the vocabulary: tokens that occur in prompts and are never sampled.
    pub extra_tokens: usize,
    /// Most rows of features of a picture.
    pub picture_rows: usize,
}

/// Heads of keys and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KvHeads {
    /// Their number, which divides that of the query heads.
    pub count: usize,
    /// Their width, and that of the query heads.
    pub dim: usize,
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `x * sigmoid(x)`.
    #[default]
    Silu,
    /// `x / 2 * (1 + erf(x / sqrt(2)))`.
    Gelu,
    /// The tanh approximation of gelu.
    GeluTanh,
}

/// Number format of the KV cache. An option of loading, not part of `model.json`.
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
    /// 8-bit integers, with a 16-bit scale for the keys and one for the values of each head and token.
    Int8,
}

impl KvPrecision {
    /// All formats, most exact first.
    pub const ALL: [Self; 3] = [Self::F32, Self::F16, Self::Int8];

    /// Bytes that one head of one token takes in each plane of the cache: keys, values, and with integers their scales.
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
    Error::request("kvPrecision", format!("invalid value {name:?}; expected f32, f16 or int8"))
}

/// Size of a picture in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PixelSize {
    /// Pixels from left to right.
    pub width: usize,
    /// Pixels from top to bottom.
    pub height: usize,
}

/// Size of a resized picture in cells. The family defines a cell and the tokens it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ImageGrid {
    /// Rows of cells.
    pub rows: usize,
    /// Cells in a row.
    pub cols: usize,
    /// Slices, if the picture is cut into slices of any size, and shown beside them as a whole.
    pub slices: Option<Slices>,
}

/// Slices of a picture, which divide its rows and columns of cells equally.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Slices {
    /// Rows of slices.
    pub rows: usize,
    /// Slices in a row.
    pub cols: usize,
    /// Rows and columns of cells of the whole picture, which has a size of its own.
    pub whole: [usize; 2],
}

impl ImageGrid {
    /// A grid that is not sliced.
    pub fn new(rows: usize, cols: usize) -> Self {
        Self { rows, cols, slices: None }
    }
}

impl TextConfig {
    /// Number of layers of a kind.
    pub fn count(&self, kind: LayerKind) -> usize {
        self.layers.iter().filter(|layer| **layer == kind).count()
    }

    /// Rows of the embedding.
    pub fn embedding_rows(&self) -> usize {
        self.vocab_size + self.cross.as_ref().map_or(0, |cross| cross.extra_tokens)
    }

    /// Indices of the layers that keep keys and values of the conversation's tokens.
    pub fn kv_layers(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.layers.len()).filter(|&index| self.layers[index].is_self_attention() && self.owns_kv(index))
    }

    /// Number of [`Self::kv_layers`].
    pub fn self_attention_layers(&self) -> usize {
        self.kv_layers().count()
    }

    /// Layers before those without keys and values of their own. A prompt's rows whose logits are not needed pass only through these.
    pub fn own_layers(&self) -> usize {
        self.layers.len().saturating_sub(self.layer_options.shared_kv_layers)
    }

    /// Returns true unless the layer reads keys and values of an earlier one.
    pub fn owns_kv(&self, layer: usize) -> bool {
        layer < self.own_layers()
    }

    /// The layer whose keys and values a layer of self-attention reads: its own index, or the last earlier one of its kind that has some.
    pub fn kv_source(&self, layer: usize) -> usize {
        let own = &self.layers[..self.own_layers()];
        let earlier = || own.iter().rposition(|kind| Some(kind) == self.layers.get(layer));
        if self.owns_kv(layer) { layer } else { earlier().unwrap_or(layer) }
    }

    /// Keys and values of layers of a kind.
    pub fn kv_heads(&self, kind: LayerKind) -> KvHeads {
        let usual = KvHeads { count: self.num_key_value_heads, dim: self.head_dim };
        self.layer_options.full_heads.filter(|_| kind == LayerKind::FullAttention).unwrap_or(usual)
    }

    /// Bytes of a token's keys and values in each plane of a layer's cache.
    pub fn entry_bytes(&self, layer: usize, precision: KvPrecision) -> Vec<u64> {
        let KvHeads { count, dim } = self.kv_heads(self.layers.get(layer).copied().unwrap_or(LayerKind::FullAttention));
        precision.head_bytes(dim).iter().map(|bytes| bytes * count as u64).collect()
    }

    /// Returns true if the values of a layer of this kind are its keys.
    pub fn keys_are_values(&self, kind: LayerKind) -> bool {
        self.layer_options.values == Values::KeysInFullLayers && kind == LayerKind::FullAttention
    }

    /// Width of a layer's feed-forward.
    pub fn ffn_width(&self, layer: usize) -> usize {
        let shared = self.layer_options.shared_intermediate_size.filter(|_| !self.owns_kv(layer));
        shared.unwrap_or(self.intermediate_size)
    }

    /// Width of the widest feed-forward.
    pub fn widest_ffn(&self) -> usize {
        self.intermediate_size.max(self.layer_options.shared_intermediate_size.unwrap_or(0))
    }

    /// Width of a token's row of per-layer embeddings; 0 without them.
    pub fn per_layer_width(&self) -> usize {
        self.layer_options.per_layer_inputs.unwrap_or(0) * self.layers.len()
    }

    /// Width of the widest head.
    pub fn widest_head(&self) -> usize {
        self.head_dim.max(self.layer_options.full_heads.map_or(0, |heads| heads.dim))
    }

    /// Ropes of the layers and the widths of the heads that they turn: that of [`LayerKind::SlidingAttention`] last, where it has one of its own.
    pub fn ropes(&self) -> impl Iterator<Item = (&RopeConfig, usize)> {
        let full = self.kv_heads(LayerKind::FullAttention).dim;
        [(&self.rope, full)].into_iter().chain(self.layer_options.sliding_rope.iter().map(|rope| (rope, self.head_dim)))
    }

    /// Keys that a layer of this kind sees of earlier tokens and its own; `None` for all.
    pub fn window(&self, kind: LayerKind) -> Option<usize> {
        self.layer_options.sliding_window.filter(|_| kind == LayerKind::SlidingAttention)
    }

    /// Scale of attention scores in layers of a kind.
    pub fn score_scale(&self, kind: LayerKind) -> f32 {
        self.layer_options.query_pre_attn_scalar.unwrap_or(self.kv_heads(kind).dim as f32).sqrt().recip()
    }
}

/// Largest vocabulary and widest layer. Products of the limits here stay within 32 bits.
pub(crate) const MAX_WIDTH: usize = 1 << 20;
/// Most layers of a decoder or of a tower.
pub(crate) const MAX_LAYERS: usize = 1 << 10;
pub(crate) const MAX_HEADS: usize = 1 << 12;

/// Widest attention head the kernels hold in registers.
pub const MAX_HEAD_DIM: usize = 512;
