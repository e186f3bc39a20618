//! `config.json` of Mistral3 models (`configuration_mistral3.py`, `configuration_ministral3.py`, `configuration_mistral.py`).

use serde_json::{Value, json};

use super::chat::TOKENS;
use super::config::Config;
use super::hf_tower::vision_config;
use crate::checkpoint::hf::decoder;
use crate::checkpoint::hf::fields::Fields;
use crate::checkpoint::hf::files::HfFiles;
use crate::checkpoint::hf::rope;
use crate::config::{QueryScaling, TextConfig};
use crate::error::{Error, Result};
use crate::families::config::ModelConfig;
use crate::families::readers::{ChatDefaults, HfReader};

/// The supported classes, the vision model first.
pub(super) const READER: HfReader = HfReader {
    architectures: &["Mistral3ForConditionalGeneration", "Ministral3ForCausalLM", "MistralForCausalLM"],
    model_types: &["mistral3", "ministral3", "mistral"],
    read,
};

fn read(files: &HfFiles<'_>) -> Result<(ModelConfig, ChatDefaults)> {
    let reads_pictures = matches!(files.architecture, "Mistral3ForConditionalGeneration" | "mistral3");
    let defaults = if reads_pictures { defaults() } else { Value::Null };
    let whole = files.config.or(&defaults);
    let text = if reads_pictures { whole.object("text_config.")? } else { whole };
    let mut config = Config { text: text_config(text)?, vision: None };
    config.text.tie_word_embeddings = whole.flag("tie_word_embeddings")?.unwrap_or(reads_pictures);
    if reads_pictures {
        config.vision = Some(vision_config(files, whole)?);
    }
    // `Ministral3Config` has a padding token, `MistralConfig` has none.
    let padded = text.text("model_type")? == Some("ministral3") && !text.has("pad_token_id");
    let chat = ChatDefaults { pad: TOKENS.pad.filter(|_| padded), ..TOKENS };
    Ok((ModelConfig::Mistral3(config), chat))
}

/// The configurations of decoder and tower that a `mistral3` model may leave out.
fn defaults() -> Value {
    json!({
        "text_config": {
            "model_type": "mistral", "head_dim": 128, "hidden_size": 5120, "intermediate_size": 32768,
            "max_position_embeddings": 131_072, "num_hidden_layers": 40, "rms_norm_eps": 1e-5, "rope_theta": 1e9,
            "sliding_window": null, "vocab_size": 131_072,
        },
        "vision_config": { "model_type": "pixtral", "patch_size": 14, "image_size": 1540 },
    })
}

/// Values of a decoder that its configuration may leave out.
fn text_defaults(model_type: &str) -> Option<Value> {
    match model_type {
        "mistral" => Some(json!({
            "vocab_size": 32_000, "hidden_size": 4096, "intermediate_size": 14_336, "num_hidden_layers": 32,
            "num_attention_heads": 32, "num_key_value_heads": 8, "max_position_embeddings": 131_072,
            "rms_norm_eps": 1e-6, "sliding_window": 4096,
        })),
        "ministral3" => Some(json!({
            "vocab_size": 131_072, "hidden_size": 4096, "intermediate_size": 14_336, "num_hidden_layers": 34,
            "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128, "max_position_embeddings": 262_144,
            "rms_norm_eps": 1e-5,
            "rope_parameters": {
                "rope_type": "yarn", "rope_theta": 1e6, "factor": 16.0, "original_max_position_embeddings": 16384,
                "beta_fast": 32.0, "beta_slow": 1.0, "mscale": 1.0, "mscale_all_dim": 1.0, "llama_4_scaling_beta": 0.1,
            },
        })),
        _ => None,
    }
}

fn text_config(config: Fields<'_>) -> Result<TextConfig> {
    let model_type = config.text("model_type")?.unwrap_or("mistral");
    let defaults = text_defaults(model_type).ok_or_else(|| Error::UnsupportedArchitecture {
        file: config.file.into(),
        architecture: model_type.into(),
        reason: "the decoder is neither ministral3 nor mistral".into(),
    })?;
    let config = config.or(&defaults);
    let mut text = decoder::text_config(config, model_type, &["yarn"])?;
    if model_type == "ministral3" {
        let parameters = rope::parameters(config, "rope_parameters.")?;
        let original = rope::original_positions(config, parameters, text.max_position_embeddings)?;
        let beta = parameters.number("llama_4_scaling_beta")?.filter(|beta| *beta != 0.0);
        text.query_scaling = beta.map(|beta| QueryScaling { beta, original_max_position_embeddings: original });
    }
    Ok(text)
}
