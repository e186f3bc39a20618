//! `config.json` of Llama models (`configuration_llama.py`).

use serde_json::json;

use super::config::Config;
use crate::error::Result;
use crate::families::config::ModelConfig;
use crate::families::readers::{ChatDefaults, HfModel, HfReader};
use crate::weights::hf::decoder::{TextDefaults, text_config};
use crate::weights::hf::files::HfFiles;
use crate::weights::hf::rope::RopeDefaults;

pub(super) const READER: HfReader = HfReader { architectures: &["LlamaForCausalLM"], model_types: &["llama"], read };

fn read(files: &HfFiles<'_>) -> Result<HfModel> {
    let whole = files.config;
    for key in ["attention_bias", "mlp_bias"] {
        if whole.flag(key)? == Some(true) {
            return Err(whole.unsupported("llama", key, "is true"));
        }
    }
    let mut text = text_config(whole, "llama", &defaults())?;
    text.tie_word_embeddings = whole.flag("tie_word_embeddings")?.unwrap_or(false);
    let chat = ChatDefaults { bos: Some(1), eos: 2, pad: None };
    Ok(HfModel { config: ModelConfig::Llama(Config { text }), chat })
}

fn defaults() -> TextDefaults {
    TextDefaults {
        vocab_size: 32_000,
        hidden_size: 4096,
        intermediate_size: 11_008,
        num_hidden_layers: 32,
        num_attention_heads: 32,
        num_key_value_heads: None,
        head_dim: None,
        max_position_embeddings: 2048,
        rms_norm_eps: 1e-6,
        sliding_window: None,
        rope: RopeDefaults { parameters: json!({}), types: &["llama3"] },
    }
}
