//! The definition of Idefics3.

use super::config::{Config, VisionConfig};
use super::{chat, gguf};
use crate::config::ImageGrid;
use crate::error::Result;
use crate::families::decoder_tensors::{self, HfPrefixes};
use crate::families::definition::{Definition, Pictures};
use crate::families::readers::{Family, Readers};
use crate::families::siglip::Connector;
use crate::families::tensor_spec::{Role, TensorSpec};
use crate::layers::vision::{Pixels, Stage, Tower, TowerOptions, TowerParts, Views};
use crate::layers::{Decoder, Layer};
use crate::weights::WeightStore;

/// The family.
pub(in crate::families) static IDEFICS3: Family = Family {
    name: "idefics3",
    chat: chat::TOKENS,
    chat_layouts: &[&chat::SMOLVLM, &chat::GRANITE_DOCLING],
    split_pattern: None,
    pre_tokenizer: None,
};

/// Readers of its checkpoints.
pub(in crate::families) static READERS: Readers =
    Readers { family: &IDEFICS3, hf: super::hf::READER, gguf: Some(gguf::READER) };

const DECODER: HfPrefixes = HfPrefixes { decoder: &["model.text_model.", "text_model."], head: &["", "model."] };
const TOWER: &[&str] = &["model.vision_model.", "vision_model."];

impl Definition for Config {
    fn family(&self) -> &'static Family {
        &IDEFICS3
    }

    fn tensors(&self) -> Box<dyn Iterator<Item = TensorSpec> + '_> {
        let vision = self.vision.iter().flat_map(|VisionConfig { tower, scale_factor, .. }| {
            let shape = [self.text.hidden_size, tower.hidden_size * scale_factor * scale_factor];
            let connector = TensorSpec::new("connector", &shape, Role::Vision(1 + tower.num_hidden_layers))
                .hf(&["model.connector.", "connector."], "modality_projection.proj.weight")
                .gguf("mm.model.fc.weight");
            tower.tensors(TOWER).chain([connector])
        });
        Box::new(vision.chain(decoder_tensors::tensors(&self.text, DECODER)))
    }

    fn decoder(&self, weights: &mut WeightStore) -> Result<Decoder> {
        Decoder::new(&self.text, weights, Layer::attention)
    }

    fn tower(&self) -> Option<Tower> {
        self.vision.as_ref().map(|vision| Tower::new(vision.tower.options(vision.scale_factor), vision.clone()))
    }

    fn pictures(&self) -> Option<&dyn Pictures> {
        self.vision.as_ref().map(|vision| vision as &dyn Pictures)
    }

    /// Tags of documents are printed; roles, ends and the markers of pictures are not.
    fn prints(&self, layout: &str, token: &str) -> bool {
        let hidden = ["<|", "<image", "<fake", "<global", "<row_", "<end_of"];
        layout == chat::GRANITE_DOCLING.name && !hidden.iter().any(|begin| token.starts_with(begin))
    }

    fn vision_summary(&self) -> String {
        let Some(vision) = &self.vision else { return String::new() };
        format!("{}, tiles of {} pixels and the whole", vision.tower.summary(), vision.tile())
    }
}

impl TowerParts for VisionConfig {
    fn stem(&self, _options: &TowerOptions, weights: &mut WeightStore) -> Result<Box<dyn Stage>> {
        self.tower.stem(weights)
    }

    fn projector(&self, options: &TowerOptions, weights: &mut WeightStore) -> Result<Box<dyn Stage>> {
        Ok(Box::new(Connector::new(options, weights)?))
    }

    fn views(&self, pixels: &Pixels<'_>) -> Vec<Views> {
        let tile = self.tile();
        vec![Views { count: self.views(pixels.grid), width: tile, height: tile, grid: ImageGrid::new(1, 1) }]
    }
}
