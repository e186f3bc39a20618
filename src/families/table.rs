//! The families there are. With [`super::config`], the only place that names one.

use super::config::ModelConfig;
use super::definition::Definition;
use super::readers::{Family, Readers};

/// What reads checkpoints, in the order in which they are offered to it.
pub static READERS: [&Readers; 5] = [
    &super::mistral3::definition::READERS,
    &super::llama::definition::READERS,
    &super::qwen3_5::definition::READERS,
    &super::qwen3_vl::definition::READERS,
    &super::mllama::definition::READERS,
];

/// What reads the checkpoints of a family.
pub fn readers_of(family: &Family) -> Option<&'static Readers> {
    READERS.into_iter().find(|readers| readers.family.name == family.name)
}

/// What the model's family defines.
pub fn definition(config: &ModelConfig) -> &dyn Definition {
    match config {
        ModelConfig::Llama(config) => config,
        ModelConfig::Mistral3(config) => config,
        ModelConfig::Mllama(config) => config,
        ModelConfig::Qwen3_5(config) => config,
        ModelConfig::Qwen3Vl(config) => config,
    }
}
