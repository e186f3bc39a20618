//! The families there are. With [`super::config`], the only place that names one.

use super::config::ModelConfig;
use super::definition::Definition;
use super::llama::definition::LLAMA;
use super::mistral3::definition::MISTRAL3;
use super::mllama::definition::MLLAMA;
use super::qwen3_5::definition::QWEN3_5;
use super::qwen3_vl::definition::QWEN3_VL;
use super::readers::{Family, Readers};

/// All families.
static FAMILIES: [&Family; 5] = [&MISTRAL3, &LLAMA, &QWEN3_5, &QWEN3_VL, &MLLAMA];

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

/// The names of published models whose shapes are known.
pub fn published_names() -> impl Iterator<Item = &'static str> {
    FAMILIES.into_iter().flat_map(|family| family.published).map(|(name, _)| *name)
}

/// The shape of a published model.
pub fn published(name: &str) -> Option<ModelConfig> {
    let mut all = FAMILIES.into_iter().flat_map(|family| family.published);
    all.find(|(known, _)| *known == name).map(|(_, config)| config())
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
