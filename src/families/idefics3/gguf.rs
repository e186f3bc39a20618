//! GGUF files of SmolVLM and Granite-Docling, as llama.cpp's converters write them.

use super::config::{Config, Markers, VisionConfig};
use crate::chat::GPT_2;
use crate::checkpoint::gguf::decoder::{Keys, text_config};
use crate::checkpoint::gguf::files::GgufFiles;
use crate::config::RopePairs;
use crate::error::Result;
use crate::families::config::ModelConfig;
use crate::families::readers::{GgufReader, PreTokenizer};
use crate::families::siglip::Siglip;

/// GPT-2's pattern after digits were taken apart: white space before a digit is not divided.
const SMOLLM: &str = r"\p{N}|'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?[^\s\p{L}\p{N}]+|\s+(?![^\s\p{N}])|\s+";

/// Files of Llama's and Mistral's models have the same architecture; the pre-tokenizer tells them apart.
pub(super) const READER: GgufReader = GgufReader {
    architectures: &["llama"],
    pre_tokenizers: &[
        PreTokenizer { names: &["smollm"], pattern: SMOLLM, nfc: false, ignore_merges: false },
        PreTokenizer { names: &["granite-docling"], pattern: GPT_2, nfc: false, ignore_merges: false },
    ],
    projector: None,
    read,
};

fn read(files: &GgufFiles<'_>) -> Result<ModelConfig> {
    let text = text_config(files, RopePairs::Interleaved)?;
    let vision = files.vision.map(|metadata| vision_config(files, &Keys::of(metadata)?)).transpose()?;
    Ok(ModelConfig::Idefics3(Config { text, vision }))
}

/// Reads the tower from the metadata of the vision file. The picture tokens are in the text file. Neither says if pictures are split.
fn vision_config(files: &GgufFiles<'_>, keys: &Keys<'_>) -> Result<VisionConfig> {
    let projector: &str = keys.first(&["projector_type", "vision.projector_type"])?.unwrap_or_default();
    if projector != "idefics3" {
        return Err(keys.unsupported(format!("the projector is {projector:?}, only \"idefics3\" is supported")));
    }
    let tower = Siglip::from_gguf(keys)?;
    let vision = VisionConfig {
        scale_factor: keys.needed("vision.projector.scale_factor")?,
        longest_edge: keys.get("vision.preproc_image_size")?.unwrap_or(4 * tower.image_size),
        splits: true,
        image_token_id: files.token("<image>")?,
        markers: Markers::default(),
        tower,
    };
    vision.with_markers(&files.vocabulary()?)
}
