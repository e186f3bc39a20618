//! GGUF files of MiniCPM-V 4.6, as llama.cpp's converter writes them. Their text halves are like those of Qwen3.5.

use super::config::{Config, Markers, USUAL_LAYER, USUAL_SLICES, VisionConfig};
use crate::checkpoint::gguf::decoder::Keys;
use crate::checkpoint::gguf::files::GgufFiles;
use crate::error::Result;
use crate::families::config::ModelConfig;
use crate::families::qwen3_5::gguf::{ARCHITECTURES, PRE_TOKENIZERS, decoder};
use crate::families::readers::GgufReader;
use crate::families::siglip::Siglip;

pub(super) const READER: GgufReader =
    GgufReader { architectures: ARCHITECTURES, pre_tokenizers: PRE_TOKENIZERS, projector: Some("minicpmv4_6"), read };

fn read(files: &GgufFiles<'_>) -> Result<ModelConfig> {
    let text = decoder(files)?;
    let vision = files.vision.map(|metadata| vision_config(files, &Keys::of(metadata)?)).transpose()?;
    Ok(Config::new(text, vision).into())
}

/// Reads the tower from the metadata of the vision file. The picture tokens are in the text file.
fn vision_config(files: &GgufFiles<'_>, keys: &Keys<'_>) -> Result<VisionConfig> {
    if keys.get("vision.projector.scale_factor")?.is_some_and(|factor: usize| factor != 4) {
        return Err(keys.unsupported("vision.projector.scale_factor is not 4"));
    }
    let tower = Siglip::from_gguf(keys)?;
    let layers: &[i64] = keys.get("vision.wa_layer_indexes")?.unwrap_or(&[USUAL_LAYER as i64]);
    let merged_layer = match layers {
        [layer] => usize::try_from(*layer).ok(),
        _ => None,
    };
    let Some(merged_layer) = merged_layer else {
        return Err(keys.unsupported("vision.wa_layer_indexes does not name one layer"));
    };
    // The key holds the side of a slice.
    let (scale_resolution, positions) = (tower.image_size, (files.rows)("v.position_embd.weight"));
    let image_size = positions.map_or(scale_resolution, |rows| rows.isqrt() * tower.patch_size);
    Ok(VisionConfig {
        tower: Siglip { image_size, ..tower },
        merged_layer,
        scale_resolution,
        // No key has it.
        max_slices: USUAL_SLICES,
        image_token_id: files.token("<|image_pad|>")?,
        markers: Markers::of(&files.vocabulary()?)?,
    })
}
