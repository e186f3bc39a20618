//! The definition of Llama 3.2 Vision.

use super::config::{Config, VisionConfig};
use super::tower::tower;
use super::{chat, tensors};
use crate::config::LayerKind;
use crate::error::Result;
use crate::families::definition::{Definition, Pictures};
use crate::families::llama::gguf::PRE_TOKENIZER;
use crate::families::readers::{Family, Readers};
use crate::families::tensor_spec::TensorSpec;
use crate::layers::vision::Tower;
use crate::layers::{Decoder, Layer};
use crate::weights::WeightStore;

/// The family.
pub(in crate::families) static MLLAMA: Family = Family {
    name: "mllama",
    chat: chat::TOKENS,
    chat_layouts: &[&chat::LLAMA_3_VISION],
    split_pattern: None,
    pre_tokenizer: Some(&PRE_TOKENIZER),
};

/// Readers of its checkpoints.
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

    fn tower(&self) -> Option<Tower> {
        self.vision.as_ref().map(tower)
    }

    fn pictures(&self) -> Option<&dyn Pictures> {
        self.vision.as_ref().map(|vision| vision as &dyn Pictures)
    }

    fn vision_summary(&self) -> String {
        self.vision.as_ref().map(VisionConfig::summary).unwrap_or_default()
    }
}
