//! How a family's checkpoints are recognised and read. One [`Family`] each stands in [`super::table`].

use super::config::ModelConfig;
use crate::chat::layout::ChatLayout;
use crate::checkpoint::gguf::files::GgufFiles;
use crate::checkpoint::hf::files::HfFiles;
use crate::error::Result;
use crate::sampling::SamplingDefaults;

/// What a family knows without a model at hand.
#[derive(Debug)]
pub struct Family {
    /// Its name in `model.json`.
    pub name: &'static str,
    /// Tokens that begin and end in the published vocabularies.
    pub chat: ChatDefaults,
    /// The layouts of conversations that its models may be used with, the usual one first. There is at least one.
    pub chat_layouts: &'static [&'static ChatLayout],
    /// The pattern that splits text, where the family knows better than the vocabulary's file.
    pub split_pattern: Option<&'static str>,
    /// How the vocabularies split text, where there are no GGUF files that name it.
    pub pre_tokenizer: Option<&'static PreTokenizer>,
}

/// How a family's checkpoints are read: apart from the family, so that a module that runs models and imports none has nothing of it.
#[derive(Debug)]
pub struct Readers {
    /// The family.
    pub family: &'static Family,
    /// Hugging Face checkpoints.
    pub hf: HfReader,
    /// GGUF files; `None` for a family that is not imported from them.
    pub gguf: Option<GgufReader>,
}

/// The reader of Hugging Face checkpoints.
#[derive(Debug)]
pub struct HfReader {
    /// What `architectures` may name.
    pub architectures: &'static [&'static str],
    /// What `model_type` may be where there are no `architectures`.
    pub model_types: &'static [&'static str],
    /// Reads the configuration, and the tokens where the files name none. Whether the head is tied is what the files claim; the weights have
    /// the last word.
    pub read: fn(&HfFiles<'_>) -> Result<(ModelConfig, ChatDefaults)>,
}

/// Tokens of conversations where a checkpoint names none.
#[derive(Debug, Clone, Copy)]
pub struct ChatDefaults {
    /// First token of every prompt; `None` for models without one, whatever their files name.
    pub bos: Option<u32>,
    /// Token that ends an answer.
    pub eos: u32,
    /// Token that fills unused places.
    pub pad: Option<u32>,
    /// How tokens are chosen, where the publisher recommends for the family's layouts of conversations what the files do not say.
    pub sampling: Option<SamplingDefaults>,
    /// The same for answers that the model thinks about before: to text, and where there are pictures.
    pub thinking: Option<[SamplingDefaults; 2]>,
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
