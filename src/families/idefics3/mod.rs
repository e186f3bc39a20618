//! Idefics3: SmolVLM in both versions and Granite-Docling 258M. Pictures are split into square tiles, which a SigLIP tower sees one by one.

mod chat;
mod config;
pub(super) mod definition;
mod gguf;
mod hf;
mod pictures;

pub use config::{Config, Markers, VisionConfig};
