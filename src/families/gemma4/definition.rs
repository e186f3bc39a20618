//! The definition of Gemma 4.

use super::config::{Config, VisionConfig};
use super::{chat, gguf, tensors, tower};
use crate::error::Result;
use crate::families::definition::{Definition, Pictures};
use crate::families::readers::{Family, Readers};
use crate::families::tensor_spec::TensorSpec;
use crate::gpu::Features;
use crate::layers::vision::Tower;
use crate::layers::{Decoder, Layer};
use crate::weights::WeightStore;

/// The family.
pub(in crate::families) static GEMMA4: Family = Family {
    name: "gemma4",
    chat: chat::TOKENS,
    chat_layouts: &[&chat::GEMMA_4, &chat::GEMMA_4_LARGE],
    split_pattern: None,
    pre_tokenizer: None,
};

/// Readers of its checkpoints.
pub(in crate::families) static READERS: Readers =
    Readers { family: &GEMMA4, hf: super::hf::READER, gguf: Some(gguf::READER) };

impl Definition for Config {
    fn family(&self) -> &'static Family {
        &GEMMA4
    }

    fn tensors(&self) -> Box<dyn Iterator<Item = TensorSpec> + '_> {
        Box::new(tensors::tensors(self))
    }

    fn decoder(&self, weights: &mut WeightStore) -> Result<Decoder> {
        Decoder::new(&self.text, weights, Layer::attention)
    }

    fn tower(&self) -> Option<Tower> {
        self.vision.as_ref().map(tower::tower)
    }

    fn pictures(&self) -> Option<&dyn Pictures> {
        self.vision.as_ref().map(|vision| vision as &dyn Pictures)
    }

    fn vision_summary(&self) -> String {
        self.vision.as_ref().map_or_else(String::new, VisionConfig::summary)
    }

    /// Gates and their products are larger than any 16-bit float.
    fn avoids(&self) -> Features {
        Features::F16
    }

    fn gguf_duplicates(&self) -> &'static [&'static str] {
        // Read as the rope's divisors.
        &["rope_freqs.weight"]
    }

    fn gguf_ignores(&self, name: &str) -> bool {
        // Older files have keys and values of layers that read those of others, and an ear.
        let layer = name.strip_prefix("blk.").and_then(|rest| rest.split_once('.'));
        let is_unused = layer.is_some_and(|(index, part)| {
            let shares = index.parse().is_ok_and(|index: usize| !self.text.owns_kv(index));
            shares && ["attn_k.", "attn_v.", "attn_k_norm."].iter().any(|unused| part.starts_with(unused))
        });
        is_unused || name.starts_with("a.") || name.starts_with("mm.a.")
    }
}
