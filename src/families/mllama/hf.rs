//! `config.json` of Llama 3.2 Vision models (`configuration_mllama.py`), and what `preprocessor_config.json` says about pictures.

use serde_json::json;

use super::chat::TOKENS;
use super::config::{Config, VisionConfig};
use crate::checkpoint::hf::decoder;
use crate::checkpoint::hf::fields::Fields;
use crate::checkpoint::hf::files::{BILINEAR, HfFiles};
use crate::config::{CrossConfig, LayerKind, TextConfig};
use crate::error::{Error, Result};
use crate::families::config::ModelConfig;
use crate::families::readers::{ChatDefaults, HfReader};

const ARCHITECTURE: &str = "mllama";
/// Rows of the embedding after the vocabulary; written into the models' code, not their configuration.
const EXTRA_TOKENS: usize = 8;

pub(super) const READER: HfReader =
    HfReader { architectures: &["MllamaForConditionalGeneration"], model_types: &[ARCHITECTURE], read };

fn read(files: &HfFiles<'_>) -> Result<(ModelConfig, ChatDefaults)> {
    let whole = files.config;
    let image_token_id = whole.needed("image_token_index", Fields::id)?;
    let mut text = text_config(whole.object("text_config.")?)?;
    let vision = vision_config(files, image_token_id)?;
    let picture_rows = vision.max_num_tiles.saturating_mul(vision.tile_rows());
    text.cross = Some(CrossConfig { image_token_id, extra_tokens: EXTRA_TOKENS, picture_rows });
    Ok((ModelConfig::Mllama(Config { text, vision: Some(vision) }), TOKENS))
}

fn text_config(config: Fields<'_>) -> Result<TextConfig> {
    let defaults = json!({
        "vocab_size": 128_256, "hidden_size": 4096, "intermediate_size": 14_336, "num_hidden_layers": 40,
        "num_attention_heads": 32, "num_key_value_heads": 8, "max_position_embeddings": 131_072, "rms_norm_eps": 1e-5,
        "rope_theta": 5e5, "cross_attention_layers": [3, 8, 13, 18, 23, 28, 33, 38],
    });
    let mut text = decoder::text_config(config.or(&defaults), ARCHITECTURE, &["llama3"])?;
    if config.flag("tie_word_embeddings")? == Some(true) {
        return Err(config.unsupported(ARCHITECTURE, "tie_word_embeddings", "is true"));
    }
    for index in config.or(&defaults).ids("cross_attention_layers")?.unwrap_or_default() {
        let layer = text.layers.get_mut(index as usize);
        *layer.ok_or_else(|| config.refuse("cross_attention_layers", &format!("holds {index}")))? =
            LayerKind::CrossAttention;
    }
    Ok(text)
}

fn vision_config(files: &HfFiles<'_>, image_token_id: u32) -> Result<VisionConfig> {
    let defaults = json!({
        "hidden_size": 1280, "hidden_act": "gelu", "num_hidden_layers": 32, "num_global_layers": 8, "attention_heads": 16,
        "num_channels": 3, "intermediate_size": 5120, "image_size": 448, "patch_size": 14, "norm_eps": 1e-5,
        "max_num_tiles": 4, "intermediate_layers_indices": [3, 7, 15, 23, 30],
    });
    let own = files.config.object("vision_config.")?;
    let config = own.or(&defaults);
    let size = |key: &str| config.needed(key, Fields::size);
    let act = config.text("hidden_act")?.unwrap_or("gelu");
    if act != "gelu" {
        return Err(config.unsupported(ARCHITECTURE, "hidden_act", &format!("is {act:?}")));
    }
    if size("num_channels")? != 3 {
        return Err(config.unsupported(ARCHITECTURE, "num_channels", "is not 3"));
    }
    let listed = config.ids("intermediate_layers_indices")?.unwrap_or_default();
    let hidden_size = size("hidden_size")?;
    let output = hidden_size.saturating_mul(1 + listed.len());
    if own.size("vision_output_dim")?.is_some_and(|width| width != output) {
        return Err(config.unsupported(ARCHITECTURE, "vision_output_dim", &format!("is not {output}")));
    }
    let (tile_size, max_num_tiles) = (config.needed("image_size", Fields::side)?, size("max_num_tiles")?);
    let images = files.images_by(ARCHITECTURE, BILINEAR)?;
    // Processor and model must cut pictures into the same tiles.
    let here = [images.side("size")?, images.size("max_image_tiles")?];
    for ((key, model), here) in [("size", tile_size), ("max_image_tiles", max_num_tiles)].into_iter().zip(here) {
        if let Some(here) = here.filter(|&here| here != model) {
            return Err(images.refuse(key, &format!("is {here}, the model's is {model}")));
        }
    }
    if images.flag("do_pad")? == Some(false) {
        return Err(images.unsupported(ARCHITECTURE, "do_pad", "is false"));
    }
    let patch_size = config.needed("patch_size", Fields::side)?;
    if patch_size == 0 || tile_size % patch_size.max(1) != 0 || max_num_tiles > 16 {
        return Err(Error::checkpoint(config.file, "", "vision_config: tiles are not whole patches, or too many"));
    }
    Ok(VisionConfig {
        hidden_size,
        intermediate_size: size("intermediate_size")?,
        num_hidden_layers: size("num_hidden_layers")?,
        num_global_layers: size("num_global_layers")?,
        num_attention_heads: size("attention_heads")?,
        patch_size,
        tile_size,
        max_num_tiles,
        intermediate_layers: listed.into_iter().map(|index| index as usize).collect(),
        norm_eps: config.needed("norm_eps", Fields::number)? as f32,
        image_mean: images.triple("image_mean")?.unwrap_or([0.481_454_66, 0.457_827_5, 0.408_210_73]),
        image_std: images.triple("image_std")?.unwrap_or([0.268_629_54, 0.261_302_6, 0.275_777_1]),
        image_token_id,
    })
}
