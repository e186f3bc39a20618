//! All families. This and [`super::config`] are the only places that name them.

use super::config::ModelConfig;
use super::definition::Definition;
use super::readers::{Family, Readers};

/// Readers of checkpoints, in the order in which they are tried.
pub static READERS: [&Readers; 8] = [
    &super::mistral3::definition::READERS,
    &super::llama::definition::READERS,
    &super::qwen3_5::definition::READERS,
    &super::minicpmv4_6::definition::READERS,
    &super::qwen3_vl::definition::READERS,
    &super::mllama::definition::READERS,
    &super::idefics3::definition::READERS,
    &super::gemma4::definition::READERS,
];

/// The readers of a family's checkpoints.
pub fn readers_of(family: &Family) -> Option<&'static Readers> {
    READERS.into_iter().find(|readers| readers.family.name == family.name)
}

/// The family's definition for a model.
pub fn definition(config: &ModelConfig) -> &dyn Definition {
    match config {
        ModelConfig::Gemma4(config) => config,
        ModelConfig::Idefics3(config) => config,
        ModelConfig::Llama(config) => config,
        ModelConfig::MiniCpmV4_6(config) => config,
        ModelConfig::Mistral3(config) => config,
        ModelConfig::Mllama(config) => config,
        ModelConfig::Qwen3_5(config) => config,
        ModelConfig::Qwen3Vl(config) => config,
    }
}
