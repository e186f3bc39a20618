//! `config.json` of Qwen3-VL models (`configuration_qwen3_vl.py`), and what `preprocessor_config.json` says about pictures.

use serde_json::json;

use super::chat::TOKENS;
use super::config::{Config, VisionConfig};
use crate::checkpoint::hf::decoder;
use crate::checkpoint::hf::fields::Fields;
use crate::checkpoint::hf::files::HfFiles;
use crate::checkpoint::hf::rope;
use crate::config::TextConfig;
use crate::error::{Error, Result};
use crate::families::config::ModelConfig;
use crate::families::readers::{ChatDefaults, HfReader};

const ARCHITECTURE: &str = "qwen3_vl";

pub(super) const READER: HfReader =
    HfReader { architectures: &["Qwen3VLForConditionalGeneration"], model_types: &[ARCHITECTURE], read };

fn read(files: &HfFiles<'_>) -> Result<(ModelConfig, ChatDefaults)> {
    let whole = files.config;
    let mut text = text_config(whole.object("text_config.")?)?;
    text.tie_word_embeddings = whole.flag("tie_word_embeddings")?.unwrap_or(false);
    let vision = Some(vision_config(files, text.hidden_size, &[8, 16, 24])?);
    Ok((ModelConfig::Qwen3Vl(Config { text, vision }), TOKENS))
}

fn text_config(config: Fields<'_>) -> Result<TextConfig> {
    let defaults = json!({ "head_dim": 128, "rms_norm_eps": 1e-6, "rope_theta": 5e6 });
    let mut text = decoder::text_config(config.or(&defaults), ARCHITECTURE, &[])?;
    text.head_norms = true;
    text.rope.sections = Some(rope::sections(config)?.unwrap_or([24, 20, 20]));
    Ok(text)
}

/// Reads the tower; `deepstack` are the layers with a merger where the configuration names none.
pub(in crate::families) fn vision_config(
    files: &HfFiles<'_>,
    text_hidden: usize,
    deepstack: &[usize],
) -> Result<VisionConfig> {
    let config = files.config.object("vision_config.")?;
    let size = |key: &str| config.needed(key, Fields::size);
    let act = config.text("hidden_act")?.unwrap_or("gelu_pytorch_tanh");
    if act != "gelu_pytorch_tanh" {
        return Err(config.unsupported(ARCHITECTURE, "hidden_act", &format!("is {act:?}")));
    }
    for (key, only) in [("in_channels", 3), ("temporal_patch_size", 2), ("out_hidden_size", text_hidden)] {
        if let Some(other) = config.size(key)?.filter(|&size| size != only) {
            return Err(config.unsupported(ARCHITECTURE, key, &format!("is {other}, not {only}")));
        }
    }
    let positions = size("num_position_embeddings")?;
    if positions.isqrt().pow(2) != positions {
        return Err(config.refuse("num_position_embeddings", &format!("is {positions}, not a square")));
    }
    let (patch_size, spatial_merge_size) = (config.needed("patch_size", Fields::side)?, size("spatial_merge_size")?);
    let images = files.images(ARCHITECTURE)?;
    // Processor and model must cut pictures into the same patches.
    for (key, model) in [("patch_size", patch_size), ("merge_size", spatial_merge_size)] {
        if let Some(here) = images.size(key)?.filter(|&here| here != model) {
            return Err(images.refuse(key, &format!("is {here}, the model's is {model}")));
        }
    }
    let bounds = images.object("size.")?;
    let pixels = |old: &str, new: &str, default: usize| {
        Ok::<_, Error>(images.size(old)?.map_or_else(|| bounds.size(new), |old| Ok(Some(old)))?.unwrap_or(default))
    };
    let listed = |list: Option<Vec<u32>>| list.map(|list| list.iter().map(|&layer| layer as usize).collect());
    Ok(VisionConfig {
        hidden_size: size("hidden_size")?,
        intermediate_size: size("intermediate_size")?,
        num_hidden_layers: size("depth")?,
        num_attention_heads: size("num_heads")?,
        patch_size,
        spatial_merge_size,
        position_side: positions.isqrt(),
        deepstack: listed(config.ids("deepstack_visual_indexes")?).unwrap_or_else(|| deepstack.to_vec()),
        min_pixels: pixels("min_pixels", "shortest_edge", 65_536)?,
        max_pixels: pixels("max_pixels", "longest_edge", 16_777_216)?,
        image_mean: images.triple("image_mean")?.unwrap_or([0.5; 3]),
        image_std: images.triple("image_std")?.unwrap_or([0.5; 3]),
        image_token_id: files.config.needed("image_token_id", Fields::id)?,
        vision_start_token_id: files.config.needed("vision_start_token_id", Fields::id)?,
        vision_end_token_id: files.config.needed("vision_end_token_id", Fields::id)?,
    })
}
