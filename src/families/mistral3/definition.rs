//! Mistral3 as the rest of the crate sees it.

use super::config::{Config, VisionConfig};
use super::vision::Vision;
use super::{chat, gguf, tensors};
use crate::error::Result;
use crate::families::definition::{Definition, Pictures};
use crate::families::readers::{Family, Readers};
use crate::families::tensor_spec::TensorSpec;
use crate::families::tower::Tower;
use crate::layers::{Decoder, Layer};
use crate::weights::WeightStore;

/// What the family knows.
pub(in crate::families) static MISTRAL3: Family = Family {
    name: "mistral3",
    chat: chat::TOKENS,
    chat_layouts: &[&chat::V13],
    split_pattern: Some(gguf::TEKKEN),
    pre_tokenizer: None,
};

/// How the family's checkpoints are read.
pub(in crate::families) static READERS: Readers =
    Readers { family: &MISTRAL3, hf: super::hf::READER, gguf: Some(gguf::READER) };

impl Definition for Config {
    fn family(&self) -> &'static Family {
        &MISTRAL3
    }

    fn tensors(&self) -> Box<dyn Iterator<Item = TensorSpec> + '_> {
        Box::new(tensors::tensors(self))
    }

    fn decoder(&self, weights: &mut WeightStore) -> Result<Decoder> {
        Decoder::new(&self.text, weights, Layer::attention)
    }

    fn tower(&self) -> Option<Box<dyn Tower>> {
        let vision = self.vision.as_ref()?;
        Some(Box::new(Vision::new(self, vision)))
    }

    fn pictures(&self) -> Option<&dyn Pictures> {
        self.vision.as_ref().map(|vision| vision as &dyn Pictures)
    }

    fn vision_summary(&self) -> String {
        let Some(vision) = &self.vision else { return String::new() };
        let VisionConfig { num_hidden_layers, hidden_size, num_attention_heads, head_dim, .. } = vision;
        let VisionConfig { patch_size, spatial_merge_size, image_size, .. } = vision;
        format!(
            "{num_hidden_layers} layers, {hidden_size} wide, {num_attention_heads} heads of {head_dim}, patches of {patch_size} \
             merged by {spatial_merge_size}, pictures up to {image_size} pixels"
        )
    }

    fn gguf_copies(&self) -> &'static [&'static str] {
        // The embedding's row of the token that ends a row of a picture.
        &["v.token_embd.img_break"]
    }
}
