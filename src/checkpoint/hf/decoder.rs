//! A plain decoder's configuration: the fields that `transformers` gives every Llama-like model.

use serde_json::Value;

use super::fields::Fields;
use super::rope::decoder_rope;
use crate::config::{LayerKind, MAX_LAYERS, TextConfig};
use crate::error::Result;

/// Reads a decoder of the type `model_type`. `config` has defaults for optional fields; `rope_types` are the
/// values of `rope_type` that the family supports besides `default`: `yarn`, `llama3`. `tie_word_embeddings` stays false: it belongs
/// to the whole model's configuration, and the weights decide.
///
/// # Errors
/// [`crate::Error::UnsupportedArchitecture`] for variants that this crate does not run, [`crate::Error::InvalidCheckpoint`].
pub fn text_config(config: Fields<'_>, model_type: &str, rope_types: &[&str]) -> Result<TextConfig> {
    let unsupported = |key: &str, reason: String| config.unsupported(model_type, key, &reason);
    for key in ["attention_bias", "mlp_bias"] {
        if config.flag(key)? == Some(true) {
            return Err(unsupported(key, "is true".into()));
        }
    }
    let size = |key: &str| config.needed(key, Fields::size);
    // An explicit null means none, even if there is a default.
    let optional_size = |key: &str| config.unless_null(key).size(key);
    let (hidden_size, heads) = (size("hidden_size")?, size("num_attention_heads")?);
    let max_position_embeddings = size("max_position_embeddings")?;
    let layers = size("num_hidden_layers")?;
    // Before the whole configuration is checked, so that no file can ask for a list of any length.
    if layers > MAX_LAYERS {
        return Err(unsupported("num_hidden_layers", format!("is {layers}")));
    }
    let act = config.text("hidden_act")?.unwrap_or("silu");
    if !matches!(act, "silu" | "swish") {
        return Err(unsupported("hidden_act", format!("is {act:?}")));
    }
    let head_dim = optional_size("head_dim")?.or(hidden_size.checked_div(heads));
    let head_dim = head_dim.ok_or_else(|| config.refuse("num_attention_heads", "is 0"))?;
    if let Some(window) = optional_size("sliding_window")?.filter(|&window| window < max_position_embeddings) {
        let reason = format!("is {window}, smaller than the context of {max_position_embeddings}");
        return Err(unsupported("sliding_window", reason));
    }
    let layers = layer_kinds(config, model_type, layers)?;
    Ok(TextConfig {
        vocab_size: size("vocab_size")?,
        hidden_size,
        intermediate_size: size("intermediate_size")?,
        layers,
        num_attention_heads: heads,
        num_key_value_heads: optional_size("num_key_value_heads")?.unwrap_or(heads),
        head_dim,
        rms_norm_eps: config.needed("rms_norm_eps", Fields::number)? as f32,
        max_position_embeddings,
        rope: decoder_rope(config, model_type, rope_types, head_dim, max_position_embeddings)?,
        ..TextConfig::default()
    })
}

fn layer_kinds(config: Fields<'_>, model_type: &str, layers: usize) -> Result<Vec<LayerKind>> {
    let Some(kinds) = config.get("layer_types") else { return Ok(vec![LayerKind::FullAttention; layers]) };
    let kinds = kinds.as_array().ok_or_else(|| config.refuse("layer_types", "is not a list"))?;
    let kind = |kind: &Value| match kind.as_str() {
        Some("full_attention") => Ok(LayerKind::FullAttention),
        // Families with such layers read their sizes.
        Some("linear_attention") if config.has("linear_num_value_heads") => Ok(LayerKind::DeltaNet),
        _ => Err(config.unsupported(model_type, "layer_types", &format!("holds {kind}"))),
    };
    let kinds = kinds.iter().map(kind).collect::<Result<Vec<_>>>()?;
    if kinds.len() != layers {
        return Err(config.refuse("layer_types", "does not have one entry for each layer"));
    }
    Ok(kinds)
}
