//! GGUF files of Llama 3 models, as llama.cpp's converters write them.

use super::Config;
use crate::checkpoint::gguf::decoder::text_config;
use crate::checkpoint::gguf::files::GgufFiles;
use crate::config::RopePairs;
use crate::error::{Error, Result};
use crate::families::config::ModelConfig;
use crate::families::readers::{GgufReader, PreTokenizer};

/// Files of Mistral's models may also have architecture `llama`; the pre-tokenizer tells them apart.
pub(super) const READER: GgufReader = GgufReader {
    architectures: &["llama"],
    pre_tokenizers: std::slice::from_ref(&PRE_TOKENIZER),
    projector: None,
    read,
};

/// The pre-tokenizer of Llama 3's vocabularies.
pub(in crate::families) static PRE_TOKENIZER: PreTokenizer = PreTokenizer {
    names: &["llama-bpe", "llama-v3", "llama3"],
    pattern: concat!(
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*",
        r"|\s*[\r\n]+|\s+(?!\S)|\s+",
    ),
    nfc: false,
    ignore_merges: true,
};

fn read(files: &GgufFiles<'_>) -> Result<ModelConfig> {
    if files.vision.is_some() {
        return Err(Error::UnsupportedArchitecture {
            file: files.text.file.clone(),
            architecture: "llama".into(),
            reason: "the model reads no pictures: leave the mmproj file out".into(),
        });
    }
    let mut text = text_config(files, RopePairs::Interleaved)?;
    text.rope.divisors = files.rope_divisors.clone();
    Ok(ModelConfig::Llama(Config { text }))
}
