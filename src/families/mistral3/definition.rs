//! The definition of Mistral3.

use super::config::{Config, VisionConfig};
use super::tower::tower;
use super::{chat, gguf, tensors};
use crate::error::Result;
use crate::families::definition::{Definition, Pictures};
use crate::families::readers::{Family, Readers};
use crate::families::tensor_spec::TensorSpec;
use crate::layers::vision::Tower;
use crate::layers::{Decoder, Layer};
use crate::weights::WeightStore;

/// The family.
pub(in crate::families) static MISTRAL3: Family = Family {
    name: "mistral3",
    chat: chat::TOKENS,
    chat_layouts: &[&chat::V13],
    split_pattern: Some(gguf::TEKKEN),
    pre_tokenizer: None,
};

/// Readers of its checkpoints.
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

    fn tower(&self) -> Option<Tower> {
        self.vision.as_ref().map(|vision| tower(self, vision))
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

    fn gguf_duplicates(&self) -> &'static [&'static str] {
        // The embedding's row of the token that ends a row of a picture.
        &["v.token_embd.img_break"]
    }
}
