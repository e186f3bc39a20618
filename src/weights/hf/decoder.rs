//! `text_config` of `ministral3` and `mistral` (`configuration_ministral3.py`, `configuration_mistral.py`).

use serde_json::{Value, json};

use super::fields::Fields;
use super::rope;
use crate::config::{LayerKind, TextConfig};
use crate::error::{Error, Result};

/// Layers are counted before the whole configuration is checked, so that no file can ask for a list of any length.
const MAX_LAYERS: usize = 1 << 10;

/// Values of what a configuration leaves out.
struct Defaults {
    vocab_size: usize,
    layers: usize,
    /// `None`: hidden size by heads.
    head_dim: Option<usize>,
    max_position_embeddings: usize,
    rms_norm_eps: f64,
    sliding_window: Option<usize>,
    rope: Value,
    query_scaling: bool,
}

fn defaults(model_type: &str) -> Option<Defaults> {
    match model_type {
        "ministral3" => Some(Defaults {
            vocab_size: 131_072,
            layers: 34,
            head_dim: Some(128),
            max_position_embeddings: 262_144,
            rms_norm_eps: 1e-5,
            sliding_window: None,
            rope: rope::ministral3_default(),
            query_scaling: true,
        }),
        "mistral" => Some(Defaults {
            vocab_size: 32_000,
            layers: 32,
            head_dim: None,
            max_position_embeddings: 131_072,
            rms_norm_eps: 1e-6,
            sliding_window: Some(4096),
            rope: json!({}),
            query_scaling: false,
        }),
        _ => None,
    }
}

/// The `text_config` of a `mistral3` model that has none (`configuration_mistral3.py`).
pub(super) fn default_text_config() -> Value {
    json!({
        "model_type": "mistral", "head_dim": 128, "hidden_size": 5120, "intermediate_size": 32768,
        "max_position_embeddings": 131_072, "num_hidden_layers": 40, "rms_norm_eps": 1e-5, "rope_theta": 1e9,
        "sliding_window": null, "vocab_size": 131_072,
    })
}

/// Reads the decoder. `tie_word_embeddings` is left false: it is the whole model's matter, and the weights'.
pub(super) fn text_config(config: Fields<'_>) -> Result<TextConfig> {
    let model_type = config.text("model_type")?.unwrap_or("mistral");
    let unsupported = |key: &str, reason: String| config.unsupported(model_type, key, &reason);
    let Some(defaults) = defaults(model_type) else {
        return Err(Error::UnsupportedArchitecture {
            file: config.file.into(),
            architecture: model_type.into(),
            reason: "the decoder is neither ministral3 nor mistral".into(),
        });
    };
    let size = |key: &str, default: usize| config.size(key).map(|given| given.unwrap_or(default));
    let hidden_size = size("hidden_size", 4096)?;
    let num_attention_heads = size("num_attention_heads", 32)?;
    let default_kv = if config.has("num_key_value_heads") { num_attention_heads } else { 8 };
    let max_position_embeddings = size("max_position_embeddings", defaults.max_position_embeddings)?;
    let num_hidden_layers = size("num_hidden_layers", defaults.layers)?;
    if num_hidden_layers > MAX_LAYERS {
        return Err(unsupported("num_hidden_layers", format!("is {num_hidden_layers}")));
    }
    let act = config.text("hidden_act")?.unwrap_or("silu");
    if !matches!(act, "silu" | "swish") {
        return Err(unsupported("hidden_act", format!("is {act:?}")));
    }
    full_attention_only(config, model_type, &defaults, max_position_embeddings, num_hidden_layers)?;
    let (rope, query_scaling) = rope::decoder_rope(config, model_type, &defaults.rope, max_position_embeddings)?;
    Ok(TextConfig {
        vocab_size: size("vocab_size", defaults.vocab_size)?,
        hidden_size,
        intermediate_size: size("intermediate_size", 14336)?,
        layers: vec![LayerKind::FullAttention; num_hidden_layers],
        num_attention_heads,
        num_key_value_heads: size("num_key_value_heads", default_kv)?,
        head_dim: head_dim(config, defaults.head_dim, hidden_size, num_attention_heads)?,
        rms_norm_eps: config.number("rms_norm_eps")?.unwrap_or(defaults.rms_norm_eps) as f32,
        tie_word_embeddings: false,
        max_position_embeddings,
        rope,
        query_scaling: query_scaling.filter(|_| defaults.query_scaling),
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
    defaults: &Defaults,
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
