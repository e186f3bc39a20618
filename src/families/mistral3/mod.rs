//! Mistral3: Ministral 3 and Mistral Small 3.1, with the Pixtral tower or text only.

mod chat;
pub mod config;
pub(super) mod definition;
mod gguf;
mod hf;
mod hf_tower;
mod pictures;
mod projector;
mod tensors;
mod tower;

pub use config::{Config, VisionConfig};
