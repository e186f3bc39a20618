//! GGUF files of Qwen3.5 models, as llama.cpp's converters write them.

use super::Config;
use crate::checkpoint::gguf::decoder::{Keys, text_config};
use crate::checkpoint::gguf::files::GgufFiles;
use crate::config::{DeltaConfig, LayerKind, MAX_LAYERS, RopePairs, TextConfig};
use crate::error::Result;
use crate::families::config::ModelConfig;
use crate::families::qwen3_vl::gguf::{sections, vision_config};
use crate::families::readers::{GgufReader, PreTokenizer};

/// Names of the decoder's architecture.
pub(in crate::families) const ARCHITECTURES: &[&str] = &["qwen35"];
/// The pre-tokenizer of its vocabularies.
pub(in crate::families) const PRE_TOKENIZERS: &[PreTokenizer] = &[PreTokenizer {
    names: &["qwen35"],
    pattern: concat!(
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*",
        r"|\s*[\r\n]+|\s+(?!\S)|\s+",
    ),
    nfc: true,
    ignore_merges: false,
}];

pub(super) const READER: GgufReader =
    GgufReader { architectures: ARCHITECTURES, pre_tokenizers: PRE_TOKENIZERS, projector: None, read };

fn read(files: &GgufFiles<'_>) -> Result<ModelConfig> {
    let text = decoder(files)?;
    let vision = files.vision.map(|metadata| vision_config(files, metadata, text.hidden_size)).transpose()?;
    Ok(ModelConfig::Qwen3_5(Config { text, vision }))
}

/// Reads the decoder.
pub(in crate::families) fn decoder(files: &GgufFiles<'_>) -> Result<TextConfig> {
    let keys = Keys::of(files.text)?;
    let lanes: usize = keys.needed("rope.dimension_count")?;
    let mut text = text_config(files, RopePairs::First(lanes))?;
    // The last blocks are heads for further tokens, which are not run.
    let further = keys.get("nextn_predict_layers")?.unwrap_or(0);
    let depth = text.layers.len().saturating_sub(further).min(MAX_LAYERS);
    let interval: usize = keys.get("full_attention_interval")?.unwrap_or(4).max(1);
    let marks: Option<&[i64]> = keys.get("attention.recurrent_layers")?;
    let kind = |index: usize| {
        let by_interval = i64::from(!(index + 1).is_multiple_of(interval));
        match marks.map_or(by_interval, |marks| marks.get(index).copied().unwrap_or(by_interval)) {
            0 => LayerKind::FullAttention,
            _ => LayerKind::DeltaNet,
        }
    };
    text.layers = (0..depth).map(kind).collect();
    (text.head_norms, text.output_gate) = (true, true);
    text.rope.sections = Some(sections(&keys)?);
    let head_dim: usize = keys.needed("ssm.state_size")?;
    let value_heads: usize = keys.needed("ssm.time_step_rank")?;
    if keys.get("ssm.conv_kernel")?.is_some_and(|kernel: usize| kernel != 4) {
        return Err(keys.unsupported("ssm.conv_kernel is not 4"));
    }
    if keys.get("ssm.inner_size")?.is_some_and(|inner: usize| Some(inner) != value_heads.checked_mul(head_dim)) {
        return Err(keys.unsupported("ssm.inner_size is not ssm.time_step_rank times ssm.state_size"));
    }
    let key_heads = keys.needed("ssm.group_count")?;
    text.delta = Some(DeltaConfig { key_heads, value_heads, head_dim, tiled: true });
    Ok(text)
}
