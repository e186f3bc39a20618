//! `config.json` of Qwen3.5 models (`configuration_qwen3_5.py`).

use serde_json::json;

use super::Config;
use super::chat::TOKENS;
use crate::config::{DeltaConfig, LayerKind, TextConfig};
use crate::error::Result;
use crate::families::config::ModelConfig;

use crate::checkpoint::hf::decoder;
use crate::checkpoint::hf::fields::Fields;
use crate::checkpoint::hf::files::HfFiles;
use crate::checkpoint::hf::rope;
use crate::families::qwen3_vl::hf::vision_config;
use crate::families::readers::{ChatDefaults, HfReader};

const ARCHITECTURE: &str = "qwen3_5";

pub(super) const READER: HfReader =
    HfReader { architectures: &["Qwen3_5ForConditionalGeneration"], model_types: &[ARCHITECTURE], read };

fn read(files: &HfFiles<'_>) -> Result<(ModelConfig, ChatDefaults)> {
    let whole = files.config;
    let mut text = text_config(whole.object("text_config.")?, ARCHITECTURE)?;
    text.tie_word_embeddings = whole.flag("tie_word_embeddings")?.unwrap_or(false);
    let vision = Some(vision_config(files, text.hidden_size, &[])?);
    Ok((ModelConfig::Qwen3_5(Config { text, vision }), TOKENS))
}

/// Reads the decoder, without the flag of tied embeddings; `architecture` is named in refusals.
pub(in crate::families) fn text_config(config: Fields<'_>, architecture: &str) -> Result<TextConfig> {
    let unsupported = |key: &str, reason: &str| Err(config.unsupported(architecture, key, reason));
    if config.flag("attn_output_gate")? == Some(false) {
        return unsupported("attn_output_gate", "is false");
    }
    let defaults = json!({
        "head_dim": 256, "rms_norm_eps": 1e-6, "linear_conv_kernel_dim": 4, "linear_key_head_dim": 128,
        "linear_value_head_dim": 128, "linear_num_key_heads": 16, "full_attention_interval": 4, "partial_rotary_factor": 0.25,
    });
    let config = config.or(&defaults);
    let size = |key: &str| config.needed(key, Fields::size);
    if size("linear_conv_kernel_dim")? != 4 {
        return unsupported("linear_conv_kernel_dim", "is not 4");
    }
    let head_dim = size("linear_key_head_dim")?;
    if size("linear_value_head_dim")? != head_dim {
        return unsupported("linear_value_head_dim", "is not linear_key_head_dim");
    }
    let mut text = decoder::text_config(config, architecture, &[rope::PARTIAL])?;
    (text.head_norms, text.output_gate) = (true, true);
    let (key_heads, value_heads) = (size("linear_num_key_heads")?, size("linear_num_value_heads")?);
    text.delta = Some(DeltaConfig { key_heads, value_heads, head_dim, tiled: false });
    text.rope.sections = Some(rope::sections(config)?.unwrap_or([11, 11, 10]));
    if config.get("layer_types").is_none() {
        let interval = size("full_attention_interval")?.max(1);
        let kind = |index: usize| {
            if (index + 1).is_multiple_of(interval) { LayerKind::FullAttention } else { LayerKind::DeltaNet }
        };
        text.layers = (0..text.layers.len()).map(kind).collect();
    }
    Ok(text)
}
