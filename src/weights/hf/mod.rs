//! Importing Hugging Face checkpoints: a directory with `config.json`, `tokenizer.json` and safetensors weights.
//!
//! What a file leaves out has the value that `transformers` 5.23 gives it.

mod convert;
mod decoder;
mod fields;
mod import;
mod names;
mod processor;
mod rope;
mod settings;
mod tower;

pub use import::{ImportOptions, Progress, import};
pub use settings::{CheckpointSettings, read_settings};
