//! The definition of Qwen3.5.

use super::{Config, chat, gguf, tensors};
use crate::config::{LayerKind, TextConfig};
use crate::error::Result;
use crate::families::definition::{Definition, Pictures};
use crate::families::qwen3_vl::VisionConfig;
use crate::families::qwen3_vl::tower::tower;
use crate::families::readers::{Family, Readers};
use crate::families::tensor_spec::TensorSpec;
use crate::layers::vision::Tower;
use crate::layers::{Decoder, Layer};
use crate::weights::WeightStore;

/// The family.
pub(in crate::families) static QWEN3_5: Family = Family {
    name: "qwen3_5",
    chat: chat::TOKENS,
    chat_layouts: &[&chat::CHATML],
    split_pattern: None,
    pre_tokenizer: None,
};

/// Readers of its checkpoints.
pub(in crate::families) static READERS: Readers =
    Readers { family: &QWEN3_5, hf: super::hf::READER, gguf: Some(gguf::READER) };

impl Definition for Config {
    fn family(&self) -> &'static Family {
        &QWEN3_5
    }

    fn tensors(&self) -> Box<dyn Iterator<Item = TensorSpec> + '_> {
        Box::new(tensors::tensors(self))
    }

    fn decoder(&self, weights: &mut WeightStore) -> Result<Decoder> {
        let stacked = self.vision.as_ref().map_or(0, |vision| vision.deepstack.len());
        Ok(decoder(&self.text, weights)?.with_stacked_features(stacked))
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

    fn gguf_ignores(&self, name: &str) -> bool {
        predicts_further(&self.text, name)
    }
}

/// Builds the decoder from its weights; [`crate::Error::InvalidPackage`] if one is missing.
pub(in crate::families) fn decoder(text: &TextConfig, weights: &mut WeightStore) -> Result<Decoder> {
    Decoder::new(text, weights, |text, weights, layer| match text.layers[layer] {
        LayerKind::DeltaNet => Layer::delta(text, weights, layer),
        _ => Layer::attention(text, weights, layer),
    })
}

/// Returns whether a tensor of a GGUF file belongs to a head for multi-token prediction. Those are blocks after the layers.
pub(in crate::families) fn predicts_further(text: &TextConfig, name: &str) -> bool {
    let block = name.strip_prefix("blk.").and_then(|rest| rest.split('.').next()?.parse::<usize>().ok());
    block.is_some_and(|block| block >= text.layers.len())
}
