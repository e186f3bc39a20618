//! `config.json` of Llama models (`configuration_llama.py`).

use serde_json::json;

use super::Config;
use crate::checkpoint::hf::decoder::text_config;
use crate::checkpoint::hf::files::HfFiles;
use crate::error::Result;
use crate::families::config::ModelConfig;
use crate::families::readers::{ChatDefaults, HfReader};

pub(super) const READER: HfReader = HfReader { architectures: &["LlamaForCausalLM"], model_types: &["llama"], read };

fn read(files: &HfFiles<'_>) -> Result<(ModelConfig, ChatDefaults)> {
    let whole = files.config;
    let defaults = json!({
        "vocab_size": 32_000, "hidden_size": 4096, "intermediate_size": 11_008, "num_hidden_layers": 32,
        "num_attention_heads": 32, "max_position_embeddings": 2048, "rms_norm_eps": 1e-6,
    });
    let mut text = text_config(whole.or(&defaults), "llama", &["llama3"])?;
    text.tie_word_embeddings = whole.flag("tie_word_embeddings")?.unwrap_or(false);
    let chat = ChatDefaults { bos: Some(1), eos: 2, other_ends: &[], pad: None, sampling: None, thinking: None };
    Ok((ModelConfig::Llama(Config { text }), chat))
}
