//! A plain decoder's configuration: the fields that `transformers` gives every Llama-like model.

use super::fields::Fields;
use super::rope::{RopeDefaults, decoder_rope};
use crate::config::{LayerKind, MAX_LAYERS, TextConfig};
use crate::error::Result;

/// Values of what a configuration leaves out, by its `model_type`.
#[derive(Debug)]
pub struct TextDefaults {
    /// `vocab_size`.
    pub vocab_size: usize,
    /// `hidden_size`.
    pub hidden_size: usize,
    /// `intermediate_size`.
    pub intermediate_size: usize,
    /// `num_hidden_layers`.
    pub num_hidden_layers: usize,
    /// `num_attention_heads`.
    pub num_attention_heads: usize,
    /// `num_key_value_heads`; `None` for as many as query heads.
    pub num_key_value_heads: Option<usize>,
    /// `head_dim`; `None` for hidden size by heads.
    pub head_dim: Option<usize>,
    /// `max_position_embeddings`.
    pub max_position_embeddings: usize,
    /// `rms_norm_eps`.
    pub rms_norm_eps: f64,
    /// `sliding_window`.
    pub sliding_window: Option<usize>,
    /// Rotary embedding.
    pub rope: RopeDefaults,
}

/// Reads a decoder of the type `model_type`. `tie_word_embeddings` is left false: it is the whole model's matter, and the weights'.
///
/// # Errors
/// [`crate::Error::UnsupportedArchitecture`] for variants that this crate does not run, [`crate::Error::InvalidCheckpoint`].
pub fn text_config(config: Fields<'_>, model_type: &str, defaults: &TextDefaults) -> Result<TextConfig> {
    let unsupported = |key: &str, reason: String| config.unsupported(model_type, key, &reason);
    let size = |key: &str, default: usize| config.size(key).map(|given| given.unwrap_or(default));
    let hidden_size = size("hidden_size", defaults.hidden_size)?;
    let heads = size("num_attention_heads", defaults.num_attention_heads)?;
    // An explicit null asks for as many as there are query heads.
    let default_kv = defaults.num_key_value_heads.filter(|_| !config.has("num_key_value_heads")).unwrap_or(heads);
    let max_position_embeddings = size("max_position_embeddings", defaults.max_position_embeddings)?;
    let layers = size("num_hidden_layers", defaults.num_hidden_layers)?;
    // Before the whole configuration is checked, so that no file can ask for a list of any length.
    if layers > MAX_LAYERS {
        return Err(unsupported("num_hidden_layers", format!("is {layers}")));
    }
    let act = config.text("hidden_act")?.unwrap_or("silu");
    if !matches!(act, "silu" | "swish") {
        return Err(unsupported("hidden_act", format!("is {act:?}")));
    }
    let head_dim = head_dim(config, defaults.head_dim, hidden_size, heads)?;
    full_attention_only(config, model_type, defaults, max_position_embeddings, layers)?;
    Ok(TextConfig {
        vocab_size: size("vocab_size", defaults.vocab_size)?,
        hidden_size,
        intermediate_size: size("intermediate_size", defaults.intermediate_size)?,
        layers: vec![LayerKind::FullAttention; layers],
        num_attention_heads: heads,
        num_key_value_heads: size("num_key_value_heads", default_kv)?,
        head_dim,
        rms_norm_eps: config.number("rms_norm_eps")?.unwrap_or(defaults.rms_norm_eps) as f32,
        tie_word_embeddings: false,
        max_position_embeddings,
        rope: decoder_rope(config, model_type, &defaults.rope, (head_dim, max_position_embeddings))?,
        query_scaling: None,
    })
}

fn head_dim(config: Fields<'_>, default: Option<usize>, hidden_size: usize, heads: usize) -> Result<usize> {
    // An explicit null asks for the quotient even where the default is a number.
    let default = default.filter(|_| !config.has("head_dim"));
    match config.size("head_dim")?.or(default) {
        Some(head_dim) => Ok(head_dim),
        None => hidden_size.checked_div(heads).ok_or_else(|| config.refuse("num_attention_heads", "is 0")),
    }
}

fn full_attention_only(
    config: Fields<'_>,
    model_type: &str,
    defaults: &TextDefaults,
    max_positions: usize,
    layers: usize,
) -> Result<()> {
    let default_window = defaults.sliding_window.filter(|_| !config.has("sliding_window"));
    if let Some(window) = config.size("sliding_window")?.or(default_window)
        && window < max_positions
    {
        let reason = format!("is {window}, smaller than the context of {max_positions}");
        return Err(config.unsupported(model_type, "sliding_window", &reason));
    }
    let Some(kinds) = config.get("layer_types") else { return Ok(()) };
    let kinds = kinds.as_array().ok_or_else(|| config.refuse("layer_types", "is not a list"))?;
    if let Some(kind) = kinds.iter().find(|kind| kind.as_str() != Some("full_attention")) {
        return Err(config.unsupported(model_type, "layer_types", &format!("holds {kind}")));
    }
    if kinds.len() != layers {
        return Err(config.refuse("layer_types", "does not have one entry for each layer"));
    }
    Ok(())
}
