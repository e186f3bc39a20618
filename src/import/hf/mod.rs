//! Importing Hugging Face checkpoints: a directory with `config.json`, `tokenizer.json` and safetensors weights.

mod import;
mod scales;
mod settings;

pub use import::import;
pub use settings::{CheckpointSettings, read_settings};
