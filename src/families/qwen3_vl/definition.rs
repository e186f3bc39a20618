//! The definition of Qwen3-VL.

use super::config::{Config, VisionConfig};
use super::tower::tower;
use super::{chat, gguf, tensors};
use crate::chat::EmbeddingSettings;
use crate::error::Result;
use crate::families::definition::{Definition, Pictures};
use crate::families::readers::{Family, Readers};
use crate::families::tensor_spec::TensorSpec;
use crate::layers::vision::Tower;
use crate::layers::{Decoder, Layer};
use crate::weights::WeightStore;

/// The family.
pub(in crate::families) static QWEN3_VL: Family = Family {
    name: "qwen3_vl",
    chat: chat::TOKENS,
    chat_layouts: &[&chat::CHATML],
    split_pattern: None,
    pre_tokenizer: None,
};

/// Readers of its checkpoints.
pub(in crate::families) static READERS: Readers =
    Readers { family: &QWEN3_VL, hf: super::hf::READER, gguf: Some(gguf::READER) };

impl Definition for Config {
    fn family(&self) -> &'static Family {
        &QWEN3_VL
    }

    fn tensors(&self) -> Box<dyn Iterator<Item = TensorSpec> + '_> {
        Box::new(tensors::tensors(self))
    }

    fn decoder(&self, weights: &mut WeightStore) -> Result<Decoder> {
        let stacked = self.vision.as_ref().map_or(0, |vision| vision.deepstack.len());
        Ok(Decoder::new(&self.text, weights, Layer::attention)?.with_stacked_features(stacked))
    }

    fn tower(&self) -> Option<Tower> {
        self.vision.as_ref().map(tower)
    }

    fn pictures(&self) -> Option<&dyn Pictures> {
        self.vision.as_ref().map(|vision| vision as &dyn Pictures)
    }

    /// Qwen3-VL-Embedding (`format_model_input` and `_pooling_last` in `qwen3_vl_embedding.py` of its repository).
    fn embedding(&self) -> Option<EmbeddingSettings> {
        Some(EmbeddingSettings { least_dimensions: Some(64), ..EmbeddingSettings::untrained() })
    }

    fn vision_summary(&self) -> String {
        self.vision.as_ref().map(VisionConfig::summary).unwrap_or_default()
    }
}
