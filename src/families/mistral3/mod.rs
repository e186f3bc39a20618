//! Mistral3: Ministral 3 and Mistral Small 3.1, with the Pixtral tower or as text alone.

pub mod config;

mod chat;
pub(super) mod definition;
mod gguf;
mod gguf_vision;
mod hf;
mod hf_processor;
mod hf_vision;
mod pictures;
mod synth;
mod tensors;
mod tokenizer;

pub use config::{Config, VisionConfig};
