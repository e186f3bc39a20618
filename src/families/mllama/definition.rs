//! Llama 3.2 Vision as the rest of the crate sees it.

use super::config::{Config, VisionConfig};
use super::tower::Vision;
use super::{chat, tensors};
use crate::config::LayerKind;
use crate::error::Result;
use crate::families::definition::{Definition, Pictures};
use crate::families::llama::gguf::PRE_TOKENIZER;
use crate::families::readers::{Family, Readers};
use crate::families::tensor_spec::TensorSpec;
use crate::families::tower::Tower;
use crate::layers::{Decoder, Layer};
use crate::weights::WeightStore;

/// What the family knows.
pub(in crate::families) static MLLAMA: Family = Family {
    name: "mllama",
    chat: chat::TOKENS,
    chat_layouts: &[&chat::LLAMA_3_VISION],
    split_pattern: None,
    pre_tokenizer: Some(&PRE_TOKENIZER),
};

/// How the family's checkpoints are read.
pub(in crate::families) static READERS: Readers = Readers { family: &MLLAMA, hf: super::hf::READER, gguf: None };

impl Definition for Config {
    fn family(&self) -> &'static Family {
        &MLLAMA
    }

    fn tensors(&self) -> Box<dyn Iterator<Item = TensorSpec> + '_> {
        Box::new(tensors::tensors(self))
    }

    fn decoder(&self, weights: &mut WeightStore) -> Result<Decoder> {
        Decoder::new(&self.text, weights, |text, weights, index| match text.layers.get(index) {
            Some(LayerKind::CrossAttention) => Layer::cross(text, weights, index),
            _ => Layer::attention(text, weights, index),
        })
    }

    fn tower(&self) -> Option<Box<dyn Tower>> {
        let vision = self.vision.as_ref()?;
        Some(Box::new(Vision::new(vision)))
    }

    fn pictures(&self) -> Option<&dyn Pictures> {
        self.vision.as_ref().map(|vision| vision as &dyn Pictures)
    }

    fn vision_summary(&self) -> String {
        self.vision.as_ref().map(VisionConfig::summary).unwrap_or_default()
    }
}
