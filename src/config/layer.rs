//! Options of decoder layers.

use serde::{Deserialize, Serialize};

use super::{Activation, KvHeads, RopeConfig};

/// Kind of a decoder layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LayerKind {
    /// Causal self-attention over all earlier tokens, then a gated feed-forward.
    FullAttention,
    /// Causal self-attention over the last [`LayerOptions::sliding_window`] tokens, then a gated feed-forward.
    SlidingAttention,
    /// A recurrence over all earlier tokens, then a gated feed-forward.
    DeltaNet,
    /// Attention to the pictures of the last run of picture tokens, then a gated feed-forward. Tokens before the first picture skip it.
    CrossAttention,
}

impl LayerKind {
    /// Returns true if the layer keeps keys and values of the conversation's tokens.
    pub fn is_self_attention(self) -> bool {
        matches!(self, Self::FullAttention | Self::SlidingAttention)
    }

    /// Returns true if layers of both kinds keep the same kind of state.
    pub fn has_state_of(self, other: Self) -> bool {
        self == other || (self.is_self_attention() && other.is_self_attention())
    }
}

/// Options of the layers of a decoder. The default is a plain layer: norms before attention and feed-forward only, a `SiLU`
/// gate, one rope, scores scaled by `head_dim^-0.5`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LayerOptions {
    /// Activation of the feed-forward's gate.
    pub hidden_act: Activation,
    /// True if the outputs of attention and feed-forward are normed before they are added to the residual stream.
    pub post_norms: bool,
    /// Tokens that layers of [`LayerKind::SlidingAttention`] see, the row's own included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sliding_window: Option<usize>,
    /// Rope of layers of [`LayerKind::SlidingAttention`], where it differs from that of the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sliding_rope: Option<RopeConfig>,
    /// Scores are scaled by this number to the power -0.5 instead of `head_dim^-0.5`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query_pre_attn_scalar: Option<f32>,
    /// Soft cap of attention scores: `cap * tanh(score / cap)`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attn_logit_softcapping: Option<f32>,
    /// Keys and values of layers of [`LayerKind::FullAttention`], where they differ from those of the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full_heads: Option<KvHeads>,
    /// Values of the layers that have keys.
    #[serde(skip_serializing_if = "Values::is_plain")]
    pub values: Values,
    /// The last layers that have no keys and values of their own: each reads those of the last other layer of its kind.
    #[serde(skip_serializing_if = "is_zero")]
    pub shared_kv_layers: usize,
    /// Width of the feed-forward in layers without keys and values, where it differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared_intermediate_size: Option<usize>,
    /// Width of a layer's part of per-layer embeddings; absent in models without them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_layer_inputs: Option<usize>,
    /// True if every layer ends with a factor of the residual stream.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub layer_scalars: bool,
}

/// How the values of a head are made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Values {
    /// A product of the inputs.
    #[default]
    Plain,
    /// The product, normed without a weight.
    Normed,
    /// The same in layers with a window. In layers of [`LayerKind::FullAttention`] the product of the keys, normed without a weight, before the
    /// keys' own norm and rotation.
    KeysInFullLayers,
}

impl Values {
    fn is_plain(&self) -> bool {
        *self == Self::Plain
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl LayerOptions {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
