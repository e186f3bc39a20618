//! How a family's checkpoints are recognised and read. One [`Family`] each stands in [`super::table`].

use super::config::ModelConfig;
use crate::error::Result;
use crate::weights::gguf::files::GgufFiles;
use crate::weights::hf::files::HfFiles;

/// What a family knows without a model at hand.
#[derive(Debug)]
pub struct Family {
    /// Its name in `model.json`.
    pub name: &'static str,
    /// Tokens that begin and end in the published vocabularies.
    pub chat: ChatDefaults,
    /// Hugging Face checkpoints.
    pub hf: HfReader,
    /// GGUF files; `None` for a family that is not imported from them.
    pub gguf: Option<GgufReader>,
    /// Shapes of published models, smallest first.
    pub published: &'static [Published],
}

/// The shape of a published model.
#[derive(Debug)]
pub struct Published {
    /// The name that `ocelli synth` knows it by.
    pub name: &'static str,
    /// Its configuration, of rope in the lane order of GGUF files.
    pub config: fn() -> ModelConfig,
}

/// The reader of Hugging Face checkpoints.
#[derive(Debug)]
pub struct HfReader {
    /// What `architectures` may name.
    pub architectures: &'static [&'static str],
    /// What `model_type` may be where there are no `architectures`.
    pub model_types: &'static [&'static str],
    /// Reads the configuration. Whether the head is tied is what the files claim; the weights have the last word.
    pub read: fn(&HfFiles<'_>) -> Result<HfModel>,
}

/// A configuration as a checkpoint has it.
#[derive(Debug)]
pub struct HfModel {
    /// The model.
    pub config: ModelConfig,
    /// Tokens where the files name none.
    pub chat: ChatDefaults,
}

/// Tokens of conversations where a checkpoint names none.
#[derive(Debug, Clone, Copy)]
pub struct ChatDefaults {
    /// First token of every prompt; `None` for models without one.
    pub bos: Option<u32>,
    /// Token that ends an answer.
    pub eos: u32,
    /// Token that fills unused places.
    pub pad: Option<u32>,
}

/// The reader of GGUF files.
#[derive(Debug)]
pub struct GgufReader {
    /// What `general.architecture` may be.
    pub architectures: &'static [&'static str],
    /// How its vocabularies split text. Of two families with one architecture, the one that knows the file's tokenizer reads it.
    pub pre_tokenizers: &'static [PreTokenizer],
    /// Reads the configuration.
    pub read: fn(&GgufFiles<'_>) -> Result<ModelConfig>,
}

/// A pre-tokeniser that llama.cpp knows by name.
#[derive(Debug)]
pub struct PreTokenizer {
    /// What `tokenizer.ggml.pre` may be.
    pub names: &'static [&'static str],
    /// The pattern that splits text.
    pub pattern: &'static str,
    /// Whether text is brought to Unicode's form NFC first.
    pub nfc: bool,
    /// Whether a piece of text that is a token as a whole skips the merges.
    pub ignore_merges: bool,
}
