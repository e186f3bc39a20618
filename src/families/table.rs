//! The families there are. With [`super::config`], the only place that names one.

use super::config::ModelConfig;
use super::definition::Definition;
use super::llama::definition::LLAMA;
use super::mistral3::definition::MISTRAL3;
use super::mllama::definition::MLLAMA;
use super::qwen3_5::definition::QWEN3_5;
use super::qwen3_vl::definition::QWEN3_VL;
use super::readers::Family;

/// All families, in the order in which checkpoints are offered to them.
pub static FAMILIES: [&Family; 5] = [&MISTRAL3, &LLAMA, &QWEN3_5, &QWEN3_VL, &MLLAMA];

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
