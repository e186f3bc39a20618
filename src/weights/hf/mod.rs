//! Importing Hugging Face checkpoints: a directory with `config.json`, `tokenizer.json` and safetensors weights.
//!
//! What a file leaves out has the value that `transformers` 5.23 gives it.

pub mod decoder;
pub mod fields;
pub mod files;
pub mod rope;

mod import;
mod scales;
mod settings;

pub use import::import;
pub use settings::{CheckpointSettings, read_settings};
