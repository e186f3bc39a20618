//! The parts of a model that compute, by family.

use super::ModelConfig;
use super::mistral3;
use super::tower::Tower;
use crate::error::Result;
use crate::layers::Decoder;
use crate::weights::upload::WeightStore;

/// Takes the decoder's weights.
///
/// # Errors
/// [`crate::Error::InvalidPackage`] if one is missing.
pub fn decoder(config: &ModelConfig, weights: &mut WeightStore) -> Result<Decoder> {
    match config {
        ModelConfig::Mistral3(config) => mistral3::decoder(config, weights),
    }
}

/// The picture side of a model that has one, without its weights.
pub fn tower(config: &ModelConfig) -> Option<Box<dyn Tower>> {
    match config {
        ModelConfig::Mistral3(config) => mistral3::tower(config),
    }
}

/// Whether a tensor of this name belongs to the decoder.
pub fn is_text(name: &str) -> bool {
    !(name.starts_with("vision.") || name.starts_with("projector."))
}
