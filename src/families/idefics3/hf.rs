//! `config.json` of Idefics3 and SmolVLM models (`configuration_idefics3.py`), and what `preprocessor_config.json` says about pictures.

use serde_json::json;

use super::chat::TOKENS;
use super::config::{Config, Markers, VisionConfig};
use crate::checkpoint::hf::decoder;
use crate::checkpoint::hf::fields::Fields;
use crate::checkpoint::hf::files::{HfFiles, LANCZOS};
use crate::error::Result;
use crate::families::config::ModelConfig;
use crate::families::readers::{ChatDefaults, HfReader};
use crate::families::siglip::{Defaults, Siglip};

const ARCHITECTURE: &str = "idefics3";
/// Source: `configuration_idefics3.py`.
const DEFAULTS: Defaults = Defaults { hidden_size: 1152, num_attention_heads: 16, patch_size: 32 };

pub(super) const READER: HfReader = HfReader {
    architectures: &["Idefics3ForConditionalGeneration", "SmolVLMForConditionalGeneration"],
    model_types: &[ARCHITECTURE, "smolvlm"],
    read,
};

fn read(files: &HfFiles<'_>) -> Result<(ModelConfig, ChatDefaults)> {
    let (whole, vocabulary) = (files.config, files.vocabulary()?);
    let defaults = json!({
        "num_hidden_layers": 32, "num_attention_heads": 32, "max_position_embeddings": 2048, "rms_norm_eps": 1e-5,
    });
    let config = whole.object("text_config.")?.or(&defaults);
    let mut text = decoder::text_config(config, ARCHITECTURE, &[])?;
    text.tie_word_embeddings =
        [whole, config].iter().any(|fields| fields.flag("tie_word_embeddings") == Ok(Some(true)));
    let vision = Some(vision_config(files)?.with_markers(&vocabulary)?);
    let end = ["<end_of_utterance>", "<|end_of_text|>"].into_iter().find_map(|name| vocabulary.id(name));
    Ok((ModelConfig::Idefics3(Config { text, vision }), ChatDefaults { eos: end.unwrap_or(TOKENS.eos), ..TOKENS }))
}

/// The picture side without its markers.
fn vision_config(files: &HfFiles<'_>) -> Result<VisionConfig> {
    let images = files.images_by(ARCHITECTURE, LANCZOS)?;
    let tower = Siglip::from_hf(files.config.object("vision_config.")?, images, ARCHITECTURE, DEFAULTS)?;
    // Processor and model must cut pictures into the same tiles.
    let tiles = images.object("max_image_size.")?;
    if let Some(other) = tiles.size("longest_edge")?.filter(|&other| other != tower.image_size) {
        return Err(tiles.refuse("longest_edge", &format!("is {other}, the model's tiles are {}", tower.image_size)));
    }
    Ok(VisionConfig {
        scale_factor: files.config.size("scale_factor")?.unwrap_or(2),
        longest_edge: images.object("size.")?.size("longest_edge")?.unwrap_or(4 * tower.image_size),
        splits: images.flag("do_image_splitting")?.unwrap_or(true),
        image_token_id: files.config.needed("image_token_id", Fields::id)?,
        markers: Markers::default(),
        tower,
    })
}
