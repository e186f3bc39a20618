//! Mistral3: Ministral 3 and Mistral Small 3.1, with the Pixtral tower or as text alone.

mod chat;
pub mod config;
pub(super) mod definition;
mod gguf;
mod hf;
mod hf_vision;
mod pictures;
mod projector;
mod tensors;
mod vision;
mod vision_work;

pub use config::{Config, VisionConfig};
