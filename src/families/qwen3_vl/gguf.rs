//! GGUF files of Qwen3-VL models, as llama.cpp's converters write them.

use super::config::{Config, VisionConfig};
use crate::checkpoint::gguf::decoder::{Keys, text_config};
use crate::checkpoint::gguf::files::GgufFiles;
use crate::checkpoint::gguf::metadata::Metadata;
use crate::config::RopePairs;
use crate::error::Result;
use crate::families::config::ModelConfig;
use crate::families::readers::{GgufReader, PreTokenizer};

/// Unlike in Llama's files, queries and keys keep Hugging Face's order: rope pairs are the halves of a head.
pub(super) const READER: GgufReader = GgufReader {
    architectures: &["qwen3vl"],
    pre_tokenizers: &[PreTokenizer {
        names: &["qwen2"],
        pattern: concat!(
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*",
            r"|\s*[\r\n]+|\s+(?!\S)|\s+",
        ),
        nfc: true,
        ignore_merges: false,
    }],
    projector: None,
    read,
};

fn read(files: &GgufFiles<'_>) -> Result<ModelConfig> {
    let keys = Keys::of(files.text)?;
    let mut text = text_config(files, RopePairs::Half)?;
    text.head_norms = true;
    text.rope.sections = Some(sections(&keys)?);
    let vision = files.vision.map(|metadata| vision_config(files, metadata, text.hidden_size)).transpose()?;
    let stacked = keys.get("n_deepstack_layers")?.unwrap_or(0);
    match vision.as_ref().map(|vision| vision.deepstack.len()).filter(|&layers| layers != stacked) {
        Some(layers) => Err(keys.unsupported(format!("n_deepstack_layers is {stacked}, the vision half has {layers}"))),
        None => Ok(ModelConfig::Qwen3Vl(Config { text, vision })),
    }
}

/// Pairs of lanes for each axis; the file's fourth number is not used here.
pub(in crate::families) fn sections(keys: &Keys<'_>) -> Result<[usize; 3]> {
    let sections: &[i64] = keys.needed("rope.dimension_sections")?;
    let size = |axis: usize| sections.get(axis).and_then(|&size| usize::try_from(size).ok()).unwrap_or(0);
    Ok([size(0), size(1), size(2)])
}

/// Least and most pixels of a picture if no key gives them, as in the models' own processors.
const PIXELS: [usize; 2] = [65_536, 16_777_216];

/// Reads the tower from the metadata of the vision file. The picture tokens are in the text file.
pub(in crate::families) fn vision_config(
    files: &GgufFiles<'_>,
    metadata: &Metadata,
    text_hidden: usize,
) -> Result<VisionConfig> {
    let keys = Keys::of(metadata)?;
    let projector: &str = keys.first(&["projector_type", "vision.projector_type"])?.unwrap_or_default();
    if projector != "qwen3vl_merger" {
        return Err(keys.unsupported(format!("the projector is {projector:?}, only \"qwen3vl_merger\" is supported")));
    }
    if let Some(width) = keys.get("vision.projection_dim")?.filter(|&width: &usize| width != text_hidden) {
        return Err(keys.unsupported(format!("vision.projection_dim is {width}, the text model is {text_hidden} wide")));
    }
    let (patch_size, image_size): (usize, usize) =
        (keys.needed("vision.patch_size")?, keys.needed("vision.image_size")?);
    let marks: &[i64] = keys.get("vision.is_deepstack_layers")?.unwrap_or_default();
    let [min_pixels, max_pixels] = [("vision.image_min_pixels", PIXELS[0]), ("vision.image_max_pixels", PIXELS[1])]
        .map(|(key, usual)| keys.get(key).map(|given| given.unwrap_or(usual)));
    Ok(VisionConfig {
        hidden_size: keys.needed("vision.embedding_length")?,
        intermediate_size: keys.needed("vision.feed_forward_length")?,
        num_hidden_layers: keys.needed("vision.block_count")?,
        num_attention_heads: keys.needed("vision.attention.head_count")?,
        patch_size,
        spatial_merge_size: keys.get("vision.spatial_merge_size")?.unwrap_or(2),
        position_side: image_size.checked_div(patch_size).unwrap_or(0),
        deepstack: (0..marks.len()).filter(|&layer| marks[layer] != 0).collect(),
        min_pixels: min_pixels?,
        max_pixels: max_pixels?,
        image_mean: keys.get("vision.image_mean")?.unwrap_or([0.5; 3]),
        image_std: keys.get("vision.image_std")?.unwrap_or([0.5; 3]),
        image_token_id: files.token("<|image_pad|>")?,
        vision_start_token_id: files.token("<|vision_start|>")?,
        vision_end_token_id: files.token("<|vision_end|>")?,
    })
}
