//! Recognition and readers of a family's checkpoints. Each [`Family`] is listed in [`super::table`].

use super::config::ModelConfig;
use crate::chat::layout::ChatLayout;
use crate::checkpoint::gguf::files::GgufFiles;
use crate::checkpoint::hf::files::HfFiles;
use crate::error::Result;
use crate::sampling::SamplingDefaults;

/// The part of a family that does not depend on a model's configuration.
#[derive(Debug)]
pub struct Family {
    /// Its name in `model.json`.
    pub name: &'static str,
    /// Tokens that begin and end texts in the published vocabularies.
    pub chat: ChatDefaults,
    /// Chat layouts of its models, the usual one first; at least one.
    pub chat_layouts: &'static [&'static ChatLayout],
    /// The pre-tokenizer's pattern, where that in the vocabulary's file may be wrong.
    pub split_pattern: Option<&'static str>,
    /// The pre-tokenizer, in families without GGUF files that name it.
    pub pre_tokenizer: Option<&'static PreTokenizer>,
}

/// Readers of a family's checkpoints. They are separate from [`Family`] so that they are not linked into the engine's wasm module.
#[derive(Debug)]
pub struct Readers {
    /// The family.
    pub family: &'static Family,
    /// Hugging Face checkpoints.
    pub hf: HfReader,
    /// GGUF files; `None` for a family that is not imported from them.
    pub gguf: Option<GgufReader>,
}

/// A reader of Hugging Face checkpoints.
#[derive(Debug)]
pub struct HfReader {
    /// Supported values of `architectures`.
    pub architectures: &'static [&'static str],
    /// Supported values of `model_type`, in files without `architectures`.
    pub model_types: &'static [&'static str],
    /// Reads the configuration, and the tokens to use where the files name none. It reports `tie_word_embeddings` as in the files; the importer
    /// corrects it by the weights.
    pub read: fn(&HfFiles<'_>) -> Result<(ModelConfig, ChatDefaults)>,
}

/// Tokens and sampling of conversations where a checkpoint says nothing.
#[derive(Debug, Clone, Copy)]
pub struct ChatDefaults {
    /// First token of every prompt; `None` for models without one, even if their files name one.
    pub bos: Option<u32>,
    /// Token that ends an answer.
    pub eos: u32,
    /// Texts of other tokens that end one, for GGUF files, which name a single token.
    pub other_ends: &'static [&'static str],
    /// Padding token.
    pub pad: Option<u32>,
    /// Sampling that the publisher recommends for the family's chat layouts.
    pub sampling: Option<SamplingDefaults>,
    /// The same for answers with reasoning: to text, and to prompts with pictures.
    pub thinking: Option<[SamplingDefaults; 2]>,
}

/// A reader of GGUF files.
#[derive(Debug)]
pub struct GgufReader {
    /// Supported values of `general.architecture`.
    pub architectures: &'static [&'static str],
    /// Its pre-tokenizers. Where two families share an architecture, the file's pre-tokenizer decides which reads it.
    pub pre_tokenizers: &'static [PreTokenizer],
    /// Value of `clip.projector_type` in the vision half, in a family that is told from another one by that alone.
    pub projector: Option<&'static str>,
    /// Reads the configuration.
    pub read: fn(&GgufFiles<'_>) -> Result<ModelConfig>,
}

/// A pre-tokenizer that llama.cpp knows by name.
#[derive(Debug)]
pub struct PreTokenizer {
    /// Values of `tokenizer.ggml.pre`.
    pub names: &'static [&'static str],
    /// The pattern that splits text.
    pub pattern: &'static str,
    /// Normalise text to NFC first.
    pub nfc: bool,
    /// Take a piece of text that is a token as a whole without applying merges.
    pub ignore_merges: bool,
}
