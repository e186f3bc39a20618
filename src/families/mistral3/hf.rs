//! `config.json` of Mistral3 models (`configuration_mistral3.py`, `configuration_ministral3.py`, `configuration_mistral.py`).

use serde_json::{Value, json};

use super::chat::TOKENS;
use super::config::Config;
use super::hf_processor::Processor;
use super::hf_vision::{ImageTokens, default_vision_config, vision_config};
use crate::config::{QueryScaling, TextConfig};
use crate::error::{Error, Result};
use crate::families::config::ModelConfig;
use crate::families::readers::{ChatDefaults, HfModel, HfReader};
use crate::weights::hf::decoder::{self, TextDefaults};
use crate::weights::hf::fields::Fields;
use crate::weights::hf::files::HfFiles;
use crate::weights::hf::rope::{self, RopeDefaults};
use crate::weights::manifest::TOKENIZER_FILE;

/// The classes that are read, the one with pictures first.
pub(super) const READER: HfReader = HfReader {
    architectures: &["Mistral3ForConditionalGeneration", "Ministral3ForCausalLM", "MistralForCausalLM"],
    model_types: &["mistral3", "ministral3", "mistral"],
    read,
};

fn read(files: &HfFiles<'_>) -> Result<HfModel> {
    let whole = files.config;
    let reads_pictures = matches!(files.architecture, "Mistral3ForConditionalGeneration" | "mistral3");
    let default_text = if reads_pictures { default_text_config() } else { Value::Null };
    let text = match whole.get("text_config") {
        _ if !reads_pictures => whole,
        Some(text) => Fields::new(whole.file, "text_config.", text)?,
        None => Fields::new(whole.file, "text_config.", &default_text)?,
    };
    let mut config = Config { text: text_config(text)?, vision: None };
    config.text.tie_word_embeddings = whole.flag("tie_word_embeddings")?.unwrap_or(reads_pictures);
    if reads_pictures {
        let processor = Processor::read(files.processor, files.preprocessor)?;
        let default_vision = default_vision_config();
        let vision = whole.get("vision_config").unwrap_or(&default_vision);
        let vision = Fields::new(whole.file, "vision_config.", vision)?;
        config.vision = Some(vision_config(whole, vision, &processor, image_tokens(files, &processor)?)?);
    }
    // `Ministral3Config` has a padding token, `MistralConfig` has none.
    let padded = text.text("model_type")? == Some("ministral3") && !text.has("pad_token_id");
    let chat = ChatDefaults { pad: TOKENS.pad.filter(|_| padded), ..TOKENS };
    Ok(HfModel { config: ModelConfig::Mistral3(config), chat })
}

/// The `text_config` of a `mistral3` model that has none.
fn default_text_config() -> Value {
    json!({
        "model_type": "mistral", "head_dim": 128, "hidden_size": 5120, "intermediate_size": 32768,
        "max_position_embeddings": 131_072, "num_hidden_layers": 40, "rms_norm_eps": 1e-5, "rope_theta": 1e9,
        "sliding_window": null, "vocab_size": 131_072,
    })
}

fn defaults(model_type: &str) -> Option<TextDefaults> {
    let mistral = TextDefaults {
        vocab_size: 32_000,
        hidden_size: 4096,
        intermediate_size: 14_336,
        num_hidden_layers: 32,
        num_attention_heads: 32,
        num_key_value_heads: Some(8),
        head_dim: None,
        max_position_embeddings: 131_072,
        rms_norm_eps: 1e-6,
        sliding_window: Some(4096),
        rope: RopeDefaults { parameters: json!({}), types: &["yarn"] },
    };
    match model_type {
        "mistral" => Some(mistral),
        "ministral3" => Some(TextDefaults {
            vocab_size: 131_072,
            num_hidden_layers: 34,
            head_dim: Some(128),
            max_position_embeddings: 262_144,
            rms_norm_eps: 1e-5,
            sliding_window: None,
            rope: RopeDefaults { parameters: ministral_3_rope(), types: &["yarn"] },
            ..mistral
        }),
        _ => None,
    }
}

/// What a `ministral3` decoder has when its configuration says nothing.
fn ministral_3_rope() -> Value {
    json!({
        "rope_type": "yarn", "rope_theta": 1e6, "factor": 16.0, "original_max_position_embeddings": 16384,
        "beta_fast": 32.0, "beta_slow": 1.0, "mscale": 1.0, "mscale_all_dim": 1.0, "llama_4_scaling_beta": 0.1,
    })
}

fn text_config(config: Fields<'_>) -> Result<TextConfig> {
    let model_type = config.text("model_type")?.unwrap_or("mistral");
    let Some(defaults) = defaults(model_type) else {
        return Err(Error::UnsupportedArchitecture {
            file: config.file.into(),
            architecture: model_type.into(),
            reason: "the decoder is neither ministral3 nor mistral".into(),
        });
    };
    let mut text = decoder::text_config(config, model_type, &defaults)?;
    if model_type == "ministral3" {
        let parameters = rope::parameters(config, "rope_parameters.", &defaults.rope.parameters)?;
        let original = rope::original_positions(config, parameters, text.max_position_embeddings)?;
        let beta = parameters.number("llama_4_scaling_beta")?.filter(|beta| *beta != 0.0);
        text.query_scaling = beta.map(|beta| QueryScaling { beta, original_max_position_embeddings: original });
    }
    Ok(text)
}

/// Finds the picture tokens by their strings and holds them against the configuration.
fn image_tokens(files: &HfFiles<'_>, processor: &Processor) -> Result<ImageTokens> {
    let added = files.added_tokens()?;
    let find = |content: &String| {
        added.get(content).copied().ok_or_else(|| Error::Tokenizer {
            reason: format!("{TOKENIZER_FILE} has no special token {content:?}, which pictures need"),
        })
    };
    let [image, row_end, end] = processor.tokens.each_ref();
    let tokens = ImageTokens { image: find(image)?, row_end: find(row_end)?, end: find(end)? };
    let key = if files.config.has("image_token_id") { "image_token_id" } else { "image_token_index" };
    let claimed = files.config.id(key)?.unwrap_or(10);
    if claimed != tokens.image {
        let reason = format!("is {claimed}, but {image:?} is token {} in {TOKENIZER_FILE}", tokens.image);
        return Err(files.config.refuse(key, &reason));
    }
    Ok(tokens)
}
