//! `config.json` of MiniCPM-V 4.6 models (`configuration_minicpmv4_6.py`), and what `processor_config.json` says about pictures.

use super::chat::TOKENS;
use super::config::{Config, Markers, USUAL_LAYER, USUAL_SLICES, VisionConfig};
use crate::checkpoint::hf::fields::Fields;
use crate::checkpoint::hf::files::{BICUBIC, HfFiles};
use crate::error::Result;
use crate::families::config::ModelConfig;
use crate::families::qwen3_5::hf::text_config;
use crate::families::readers::{ChatDefaults, HfReader};
use crate::families::siglip::{Defaults, Siglip};

const ARCHITECTURE: &str = "minicpmv4_6";
const DEFAULTS: Defaults = Defaults { hidden_size: 768, num_attention_heads: 12, patch_size: 16 };
/// The default of `image_processing_minicpmv4_6.py`.
const SCALE_RESOLUTION: usize = 448;

pub(super) const READER: HfReader =
    HfReader { architectures: &["MiniCPMV4_6ForConditionalGeneration"], model_types: &[ARCHITECTURE], read };

fn read(files: &HfFiles<'_>) -> Result<(ModelConfig, ChatDefaults)> {
    let whole = files.config;
    let config = whole.object("text_config.")?;
    let mut text = text_config(config, ARCHITECTURE)?;
    text.tie_word_embeddings =
        [whole, config].iter().any(|fields| fields.flag("tie_word_embeddings") == Ok(Some(true)));
    Ok((Config::new(text, Some(vision_config(files)?)).into(), TOKENS))
}

fn vision_config(files: &HfFiles<'_>) -> Result<VisionConfig> {
    let (whole, images) = (files.config, files.images_by(ARCHITECTURE, BICUBIC)?);
    let vision = whole.object("vision_config.")?;
    let tower = Siglip::from_hf(vision, images, ARCHITECTURE, DEFAULTS)?;
    let unsupported = |fields: Fields<'_>, key: &str, reason: &str| Err(fields.unsupported(ARCHITECTURE, key, reason));
    for fields in [whole, images] {
        if fields.text("downsample_mode")?.is_some_and(|mode| mode != "16x") {
            return unsupported(fields, "downsample_mode", "is not \"16x\"");
        }
    }
    if whole.size("merger_times")?.unwrap_or(1) != 1 {
        return unsupported(whole, "merger_times", "is not 1");
    }
    for (fields, key) in [(whole, "merge_kernel_size"), (vision, "window_kernel_size")] {
        if fields.side(key)?.is_some_and(|side| side != 2) {
            return unsupported(fields, key, "is not [2, 2]");
        }
    }
    if images.size("patch_size")?.is_some_and(|side| side != tower.patch_size) {
        return unsupported(images, "patch_size", "is not that of the model");
    }
    if images.flag("use_image_id")? == Some(false) {
        return unsupported(images, "use_image_id", "is false");
    }
    let is_sliced = images.flag("slice_mode")?.unwrap_or(true);
    Ok(VisionConfig {
        merged_layer: whole.size("insert_layer_id")?.unwrap_or(USUAL_LAYER),
        scale_resolution: images.size("scale_resolution")?.unwrap_or(SCALE_RESOLUTION),
        max_slices: if is_sliced { images.size("max_slice_nums")?.unwrap_or(USUAL_SLICES) } else { 1 },
        image_token_id: whole.needed("image_token_id", Fields::id)?,
        markers: Markers::of(&files.vocabulary()?)?,
        tower,
    })
}
