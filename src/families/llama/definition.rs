//! The definition of Llama.

use super::Config;
use super::chat;
use crate::error::Result;
use crate::families::decoder_tensors::{self, HfPrefixes};
use crate::families::definition::Definition;
use crate::families::readers::{Family, Readers};
use crate::families::tensor_spec::TensorSpec;
use crate::layers::{Decoder, Layer};
use crate::weights::WeightStore;

/// The family.
pub(in crate::families) static LLAMA: Family = Family {
    name: "llama",
    chat: chat::TOKENS,
    chat_layouts: &[&chat::LLAMA_3],
    split_pattern: None,
    pre_tokenizer: None,
};

/// Readers of its checkpoints.
pub(in crate::families) static READERS: Readers =
    Readers { family: &LLAMA, hf: super::hf::READER, gguf: Some(super::gguf::READER) };

/// How `transformers` names the tensors.
const PREFIXES: HfPrefixes = HfPrefixes { decoder: &["model."], head: &[""] };

impl Definition for Config {
    fn family(&self) -> &'static Family {
        &LLAMA
    }

    fn tensors(&self) -> Box<dyn Iterator<Item = TensorSpec> + '_> {
        Box::new(decoder_tensors::tensors(&self.text, PREFIXES))
    }

    fn decoder(&self, weights: &mut WeightStore) -> Result<Decoder> {
        Decoder::new(&self.text, weights, Layer::attention)
    }

    fn gguf_duplicates(&self) -> &'static [&'static str] {
        // Read as the rope's divisors.
        if self.text.rope.divisors.is_some() { &["rope_freqs.weight"] } else { &[] }
    }
}
