//! GGUF files of Mistral3 models, as llama.cpp's converters and Ollama write them.

use super::config::Config;
use super::gguf_vision::vision_config;
use super::tokenizer::TEKKEN;
use crate::config::{QueryScaling, RopePairs};
use crate::error::Result;
use crate::families::config::ModelConfig;
use crate::families::readers::{GgufReader, PreTokenizer};
use crate::weights::gguf::decoder::{Keys, text_config};
use crate::weights::gguf::files::GgufFiles;

/// Mistral's models without query scaling say that they are of architecture `llama`: their tokenizer tells them from Llama's own.
/// Files converted from Hugging Face's name the tokenizer `pixtral`, for which llama.cpp takes Llama 3's pattern; the models were trained with
/// Tekken's.
pub(super) const READER: GgufReader = GgufReader {
    architectures: &["mistral3", "llama"],
    pre_tokenizers: &[PreTokenizer { names: &["tekken", "pixtral"], pattern: TEKKEN, nfc: false, ignore_merges: true }],
    read,
};

fn read(files: &GgufFiles<'_>) -> Result<ModelConfig> {
    let keys = Keys::of(files.text)?;
    let mut text = text_config(files, RopePairs::Interleaved)?;
    let beta = keys.number(&["attention.temperature_scale", "rope.scaling_beta"])?.filter(|beta| *beta != 0.0);
    let original = keys.original_positions()?;
    text.query_scaling = beta.map(|beta| QueryScaling { beta, original_max_position_embeddings: original });
    let vision = files.vision.map(|metadata| vision_config(files, metadata)).transpose()?;
    Ok(ModelConfig::Mistral3(Config { text, vision }))
}
