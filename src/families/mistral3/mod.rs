//! Mistral3: Ministral 3 and Mistral Small 3.1, with the Pixtral tower or as text alone.

pub mod config;
mod decoder;
mod projector;
pub(crate) mod vision;
pub(crate) mod vision_work;

pub use config::{Config, VisionConfig};

use super::tower::Tower;
use crate::error::Result;
use crate::layers::Decoder;
use crate::weights::upload::WeightStore;

pub(super) fn decoder(config: &Config, weights: &mut WeightStore) -> Result<Decoder> {
    decoder::decoder(&config.text, weights)
}

pub(super) fn tower(config: &Config) -> Option<Box<dyn Tower>> {
    let vision = config.vision.as_ref()?;
    Some(Box::new(vision::Vision::new(config, vision)))
}
