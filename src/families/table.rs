//! The families there are. With [`super::config`], the only place that names one.

use super::config::ModelConfig;
use super::definition::Definition;

/// What the model's family defines.
pub fn definition(config: &ModelConfig) -> &dyn Definition {
    match config {
        ModelConfig::Mistral3(config) => config,
    }
}
