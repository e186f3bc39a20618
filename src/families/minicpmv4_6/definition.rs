//! The definition of MiniCPM-V 4.6.

use super::config::{Config, VisionConfig};
use super::tensors::vision_tensors;
use super::{chat, tower};
use crate::error::Result;
use crate::families::definition::{Definition, Pictures};
use crate::families::qwen3_5::definition::{decoder, predicts_further};
use crate::families::qwen3_5::tensors::text_tensors;
use crate::families::readers::{Family, Readers};
use crate::families::tensor_spec::TensorSpec;
use crate::layers::Decoder;
use crate::layers::vision::Tower;
use crate::weights::WeightStore;

/// The family.
pub(in crate::families) static MINICPMV4_6: Family = Family {
    name: "minicpmv4_6",
    chat: chat::TOKENS,
    chat_layouts: &[&chat::CHATML],
    split_pattern: None,
    pre_tokenizer: None,
};

/// Readers of its checkpoints.
pub(in crate::families) static READERS: Readers =
    Readers { family: &MINICPMV4_6, hf: super::hf::READER, gguf: Some(super::gguf::READER) };

impl Definition for Config {
    fn family(&self) -> &'static Family {
        &MINICPMV4_6
    }

    fn tensors(&self) -> Box<dyn Iterator<Item = TensorSpec> + '_> {
        let vision = self.vision.iter().flat_map(|vision| vision_tensors(vision, self.text.hidden_size));
        Box::new(vision.chain(text_tensors(&self.text)))
    }

    fn decoder(&self, weights: &mut WeightStore) -> Result<Decoder> {
        decoder(&self.text, weights)
    }

    fn tower(&self) -> Option<Tower> {
        self.vision.as_ref().map(tower::tower)
    }

    fn pictures(&self) -> Option<&dyn Pictures> {
        self.vision.as_ref().map(|vision| vision as &dyn Pictures)
    }

    fn vision_summary(&self) -> String {
        let Some(VisionConfig { tower, max_slices, .. }) = &self.vision else { return String::new() };
        format!("{}, at most {max_slices} slices and the whole", tower.summary())
    }

    fn gguf_ignores(&self, name: &str) -> bool {
        predicts_further(&self.text, name)
    }
}
